//! Items that one task adds and another flushes in batches of 128; there is room for two batches.

use std::{
    hint::black_box,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use steadfast::BatchCollector;
use steadfast_core::{BatchCollector as Machine, BatchSettings};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tower::{BoxError, Service, ServiceExt};
use tower_batch::{Batch, BatchControl};

use super::Plan;
use crate::{
    run::{Goal::Faster, Row},
    slice::{Work, on_runtime, repeat},
    work::{Given, LONG},
};

const SIZE: usize = 128;
const ROOM: usize = 2 * SIZE;
/// After which a batch that is not full leaves; it never comes to that here.
const WAIT: Duration = Duration::from_secs(1);

pub(super) fn rows() -> Vec<Plan> {
    vec![
        Plan::new("batch of 128, an item, own clocks", || {
            Row::new(ours())
                .peer("chunks_timeout", None, chunks_timeout())
                .peer("select! by hand", None, by_hand())
                .peer("tower-batch", None, tower_batch())
                .floor("recv_many", Faster(1.0), recv_many())
                .step(SIZE as u64)
        }),
        Plan::new("batch of 128, an item, no task, `now` given", || {
            let mut ours = Machine::<u64, SIZE>::new(BatchSettings::new(LONG));
            let mut items = Vec::with_capacity(SIZE);
            Row::new(repeat(move || {
                if let Some(batch) = ours.push(black_box(7), Given::NOW) {
                    black_box(&*batch);
                }
            }))
            .floor(
                "vector",
                None,
                repeat(move || {
                    items.push(black_box(7_u64));
                    if items.len() == SIZE {
                        black_box(&items);
                        items.clear();
                    }
                }),
            )
        }),
    ]
}

fn ours() -> Work {
    on_runtime(async |n| {
        let flushed = Arc::new(AtomicU64::new(0));
        let count = flushed.clone();
        let collector = BatchCollector::builder(SIZE, WAIT)
            .build(move |batch| {
                count.fetch_add(batch.len() as u64, Ordering::Relaxed);
                async {}
            })
            .expect("inside a runtime it is a task");
        for item in 0..n {
            assert!(collector.add(item).await.is_ok());
        }
        collector.stop().await;
        assert_eq!(flushed.load(Ordering::Relaxed), n);
    })
}

/// A producer and a consumer with a channel between them; the consumer tells how much it had.
fn through_channel<F>(consume: impl Fn(mpsc::Receiver<u64>) -> F + 'static) -> Work
where
    F: Future<Output = u64> + Send + 'static,
{
    on_runtime(async move |n| {
        let (items, receiver) = mpsc::channel(ROOM);
        let consumer = tokio::spawn(consume(receiver));
        for item in 0..n {
            assert!(items.send(item).await.is_ok());
        }
        drop(items);
        assert_eq!(consumer.await.unwrap(), n);
    })
}

/// Allocates a vector for every batch.
fn chunks_timeout() -> Work {
    through_channel(|receiver| async {
        let (mut chunks, mut count) = (pin!(ReceiverStream::new(receiver).chunks_timeout(SIZE, WAIT)), 0);
        while let Some(chunk) = chunks.next().await {
            count += black_box(chunk).len() as u64;
        }
        count
    })
}

/// What one writes without a library.
fn by_hand() -> Work {
    through_channel(|mut receiver| async move {
        let (mut batch, mut deadline, mut count) = (Vec::with_capacity(SIZE), Instant::now(), 0);
        loop {
            let item = tokio::select! {
                item = receiver.recv() => item,
                () = sleep_until(deadline), if !batch.is_empty() => {
                    count += flush(&mut batch);
                    continue;
                }
            };
            let Some(item) = item else { return count + flush(&mut batch) };
            if batch.is_empty() {
                deadline = Instant::now() + WAIT;
            }
            batch.push(item);
            if batch.len() == SIZE {
                count += flush(&mut batch);
            }
        }
    })
}

fn flush(batch: &mut Vec<u64>) -> u64 {
    black_box(batch).drain(..).count() as u64
}

/// The least: no timer, so the last items of a batch may wait for ever.
fn recv_many() -> Work {
    through_channel(|mut receiver| async move {
        let (mut batch, mut count) = (Vec::with_capacity(SIZE), 0);
        while receiver.recv_many(&mut batch, SIZE).await > 0 {
            count += flush(&mut batch);
        }
        count
    })
}

/// Answers every item, which the others do not.
fn tower_batch() -> Work {
    on_runtime(async |n| {
        let flushed = Arc::new(AtomicU64::new(0));
        let mut batch = Batch::new(Count { items: 0, flushed: flushed.clone() }, SIZE, WAIT);
        let mut answers = Vec::with_capacity(SIZE);
        for item in 0..n {
            answers.push(batch.ready().await.unwrap().call(item));
            if answers.len() == SIZE {
                for answer in answers.drain(..) {
                    assert!(answer.await.is_ok());
                }
            }
        }
        assert_eq!(flushed.load(Ordering::Relaxed), n);
    })
}

/// What a tower-batch flushes into.
struct Count {
    items: u64,
    flushed: Arc<AtomicU64>,
}

impl Service<BatchControl<u64>> for Count {
    type Response = ();
    type Error = BoxError;
    type Future = std::future::Ready<Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: BatchControl<u64>) -> Self::Future {
        match request {
            BatchControl::Item(item) => self.items += u64::from(black_box(item) < u64::MAX),
            BatchControl::Flush => _ = self.flushed.fetch_add(std::mem::take(&mut self.items), Ordering::Relaxed),
        }
        std::future::ready(Ok(()))
    }
}

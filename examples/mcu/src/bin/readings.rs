//! Readings that are sent in batches: as soon as there are 16, and none later than 10 s after it was taken.
#![no_std]
#![no_main]

use core::time::Duration;

use cortex_m_semihosting::hprintln;
use embassy_executor::Spawner;
use embassy_time::{Instant, Timer};
use emulator::{board, harness};
use heapless::Vec;
use steadfast_embassy::{BatchQueue, BatchSettings, Shared, batch_collector::FlushReason, shared};

type Reading = u16;

/// A queue of 16, with room for the waker of one task that waits until it is not full.
static READINGS: Shared<BatchQueue<Reading, 16, 1>> =
    shared(BatchQueue::new(BatchSettings::new(Duration::from_secs(10))));

/// Takes a reading every 200 ms for 8 s, then one every 4 s.
#[embassy_executor::task]
async fn sample() {
    for reading in 0..40 {
        READINGS.add(reading).await.expect("nobody stops it before");
        Timer::after_millis(200).await;
    }
    for reading in 40..46 {
        READINGS.add(reading).await.expect("nobody stops it before");
        Timer::after_secs(4).await;
    }
    READINGS.stop().await;
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    board::start();
    spawner.spawn(sample().expect("the only one"));
    let mut sent = Vec::<Reading, 46>::new();
    let (mut full, mut late) = (0, 0);
    let send = async |batch: &mut Vec<Reading, 16>, reason: FlushReason| {
        Timer::after_millis(30).await; // the radio
        hprintln!("{} ms: {} readings sent, {:?}", Instant::now().as_millis(), batch.len(), reason);
        sent.extend_from_slice(batch).expect("no more than were taken");
        full += u32::from(reason == FlushReason::Size);
        late += u32::from(reason == FlushReason::Age);
    };
    READINGS.run(send).await.expect("the only worker");
    assert!(sent.iter().copied().eq(0..46), "all, once, in order: {sent:?}");
    assert_eq!((full, late), (2, 2));
    harness::leave();
}

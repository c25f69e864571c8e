//! Bodies that are too long, break off or never come.

use super::*;

#[test]
fn an_answer_that_cannot_be_kept_is_passed_on_and_the_work_not_done_twice() {
    let (seen, _clock) = seen(100);
    let (layer, service) = (IdempotencyLayer::new(&seen).max_body(10), Counting::default());
    let first = ask(&layer, &service, request("/201", "k1", "ten bytes!"));
    assert_eq!(body(first), "ten bytes! 1");
    assert_eq!(status(&layer, &service, request("/201", "k1", "ten bytes!")), 409);
    assert_eq!(status(&layer, &service, request("/201", "k1", "another")), 422);
    assert_eq!(status(&layer, &service, request("/201", "k2", "eleven byte")), 413);
    assert_eq!((service.calls(), seen.len()), (1, 1));
}

/// A body in frames, some of which may fail.
struct Frames(VecDeque<Result<Frame<Bytes>, &'static str>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(self.0.pop_front())
    }
}

/// One that ends with trailers, or breaks off.
fn frames(breaks_off: bool) -> Frames {
    let mut trailers = HeaderMap::new();
    trailers.insert("digest", HeaderValue::from_static("sum"));
    let end = if breaks_off { Err("down") } else { Ok(Frame::trailers(trailers)) };
    Frames([Ok(Frame::data(Bytes::from_static(b"an or"))), end].into())
}

#[test]
fn a_body_that_breaks_off_is_no_request_and_an_answer_that_does_is_not_kept() {
    let (seen, _clock) = seen(100);
    let (layer, service) = (IdempotencyLayer::new(&seen), Counting::default());
    for breaks_off in [false, true] {
        let request = Request::post("/201").header("idempotency-key", "k1").body(frames(breaks_off)).unwrap();
        assert_eq!(block_on(layer.layer(service.clone()).oneshot(request)).unwrap().status().as_u16(), 400);
    }
    assert_eq!((service.calls(), seen.is_empty()), (0, true));

    for (key, breaks_off) in [("k2", false), ("k3", true)] {
        let answers = service_fn(move |_: Request<ReplayBody<Full<Bytes>>>| {
            ready(Ok::<_, Infallible>(Response::new(frames(breaks_off))))
        });
        let answer = block_on(layer.layer(answers).oneshot(request("/201", key, ""))).unwrap();
        match block_on(answer.into_body().collect()) {
            Ok(body) => assert!(!breaks_off && body.trailers().is_some()),
            Err(error) => assert!(breaks_off && error == "down"),
        }
        assert_eq!(status(&layer, &service, request("/201", key, "")), 409, "it was worked on");
    }
}

#[test]
fn who_hangs_up_before_the_body_is_there_has_claimed_nothing() {
    struct Slow;
    impl Body for Slow {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }
    let (seen, _clock) = seen(100);
    let (layer, service) = (IdempotencyLayer::new(&seen), Counting::default());
    {
        let slow = Request::post("/201").header("idempotency-key", "k1").body(Slow).unwrap();
        let mut call = pin!(layer.layer(service.clone()).oneshot(slow));
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!((service.calls(), seen.is_empty()), (0, true));
    assert_eq!(status(&layer, &service, request("/201", "k1", "")), 201);
}

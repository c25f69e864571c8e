//! Gathers a body up to a size.

use core::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::Body;

use super::{ReplayBody, body::Part};

/// For so many bytes of the limit there may be a frame, and a few more: what is kept of one beside its bytes takes as much, and
/// who sends a body byte by byte must not have it kept at a hundred times its size.
const BYTES_A_FRAME: usize = 64;
const FEW_FRAMES: usize = 16;

/// A body of which the beginning is known.
pub(crate) struct Gather<B: Body> {
    body: B,
    known: Vec<Part<B::Data>>,
    len: usize,
    failed: Option<B::Error>,
    how: Gathered,
}

/// How much of a body is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Gathered {
    /// The rest of it failed.
    Failed,
    /// The rest of it would be too large.
    TooLarge,
    /// All of it.
    Whole,
    /// What has come so far.
    Some,
}

impl<B: Body> Gather<B> {
    pub(crate) const fn new(body: B) -> Self {
        Self { body, known: Vec::new(), len: 0, failed: None, how: Gathered::Some }
    }

    /// What is known, and the rest of it.
    pub(crate) fn into_body(self) -> ReplayBody<B> {
        let rest = matches!(self.how, Gathered::Some | Gathered::TooLarge).then_some(self.body);
        ReplayBody::new(self.known, self.failed, rest)
    }
}

impl<B: Body<Data: AsRef<[u8]>> + Unpin> Gather<B> {
    /// Ready when the body is known, or will not be.
    pub(crate) fn poll(&mut self, up_to: usize, cx: &mut Context<'_>) -> Poll<Gathered> {
        while self.how == Gathered::Some {
            if self.body.is_end_stream() {
                self.how = Gathered::Whole;
                break;
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => self.how = Gathered::Whole,
                Some(Ok(frame)) => {
                    let len = frame.data_ref().map_or(0, |data| data.as_ref().len());
                    if len == 0 && frame.is_data() {
                        continue;
                    }
                    self.len = self.len.saturating_add(len);
                    self.known.extend(Part::of(frame));
                    let most_frames = (up_to / BYTES_A_FRAME).saturating_add(FEW_FRAMES);
                    if self.len > up_to || self.known.len() > most_frames {
                        self.how = Gathered::TooLarge;
                    }
                }
                Some(Err(error)) => (self.how, self.failed) = (Gathered::Failed, Some(error)),
            }
        }
        Poll::Ready(self.how)
    }

    /// The bytes that are known; `None` if there are trailers too.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.len);
        for part in &self.known {
            match part {
                Part::Data(data) => bytes.extend_from_slice(data.as_ref()),
                Part::Trailers(_) => return None,
            }
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use core::{convert::Infallible, task::Waker};

    use http_body::Frame;

    use super::*;

    /// So many frames of so many bytes.
    struct Frames(usize, &'static [u8]);

    impl Body for Frames {
        type Data = &'static [u8];
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
            let Some(left) = self.0.checked_sub(1) else { return Poll::Ready(None) };
            self.0 = left;
            Poll::Ready(Some(Ok(Frame::data(self.1))))
        }
    }

    fn gathered(body: Frames, up_to: usize) -> (Gathered, usize) {
        let mut gather = Gather::new(body);
        match gather.poll(up_to, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(how) => (how, gather.known.len()),
            Poll::Pending => (Gathered::Some, 0),
        }
    }

    #[test]
    fn neither_bytes_nor_frames_are_kept_beyond_the_limit() {
        assert_eq!(gathered(Frames(16, &[7; 64]), 1_024), (Gathered::Whole, 16));
        assert_eq!(gathered(Frames(17, &[7; 64]), 1_024), (Gathered::TooLarge, 17));
        assert_eq!(gathered(Frames(32, &[7]), 1_024), (Gathered::Whole, 32), "a few more than the limit's 64th");
        assert_eq!(gathered(Frames(1_000, &[7]), 1_024), (Gathered::TooLarge, 33));
        assert_eq!(gathered(Frames(100_000, &[]), 1_024), (Gathered::Whole, 0), "nothing is kept of nothing");
    }
}

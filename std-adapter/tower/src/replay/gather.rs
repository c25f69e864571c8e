//! Gathers a body up to a size.

use core::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::Body;

use super::{ReplayBody, body::Part};

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
                    self.len = self.len.saturating_add(frame.data_ref().map_or(0, |data| data.as_ref().len()));
                    self.known.extend(Part::of(frame));
                    if self.len > up_to {
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

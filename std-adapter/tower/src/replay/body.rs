//! A body that can be sent again.

use core::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};
use std::sync::Arc;

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// A body of which the beginning is known; all of it, if it can be sent again.
    pub struct ReplayBody<B: Body> {
        known: Arc<Vec<Part<B::Data>>>,
        next: usize,
        // What was told of the body after that.
        failed: Option<B::Error>,
        #[pin]
        rest: Option<B>,
    }
}

/// A frame that can be cloned.
#[derive(Clone)]
pub(super) enum Part<D> {
    Data(D),
    Trailers(HeaderMap),
}

impl<D> Part<D> {
    pub(super) fn of(frame: Frame<D>) -> Option<Self> {
        let trailers = match frame.into_data() {
            Ok(data) => return Some(Self::Data(data)),
            Err(frame) => frame.into_trailers(),
        };
        trailers.ok().map(Self::Trailers)
    }
}

impl<B: Body> ReplayBody<B> {
    pub(super) fn new(known: Vec<Part<B::Data>>, failed: Option<B::Error>, rest: Option<B>) -> Self {
        Self { known: Arc::new(known), next: 0, failed, rest }
    }

    /// The same from its beginning; what is not known is not in it.
    pub(crate) fn again(&self) -> Self {
        Self { known: Arc::clone(&self.known), next: 0, failed: None, rest: None }
    }

    fn ahead(&self) -> &[Part<B::Data>] {
        self.known.get(self.next..).unwrap_or_default()
    }
}

impl<B: Body<Data: AsRef<[u8]> + Clone>> Body for ReplayBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        if let Some(part) = this.known.get(*this.next) {
            *this.next = this.next.saturating_add(1);
            return Poll::Ready(Some(Ok(match part.clone() {
                Part::Data(data) => Frame::data(data),
                Part::Trailers(trailers) => Frame::trailers(trailers),
            })));
        }
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match this.rest.as_pin_mut() {
            Some(rest) => rest.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ahead().is_empty() && self.failed.is_none() && self.rest.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self.ahead().iter().map(|part| match part {
            Part::Data(data) => data.as_ref().len() as u64,
            Part::Trailers(_) => 0,
        });
        let ahead = ahead.fold(0, u64::saturating_add);
        let rest = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), B::size_hint);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ahead));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint
    }
}

impl<B: Body> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody").finish_non_exhaustive()
    }
}

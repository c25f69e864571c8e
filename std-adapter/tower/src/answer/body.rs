//! A body of the service's, or of the layer's.

use core::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The body of the service behind a layer, or of the layer's own answer.
    pub struct OrAnswer<B> {
        #[pin]
        body: Option<B>,
        answer: Vec<u8>,
    }
}

impl<B> OrAnswer<B> {
    pub(crate) const fn body(body: B) -> Self {
        Self { body: Some(body), answer: Vec::new() }
    }

    pub(crate) const fn answer(answer: Vec<u8>) -> Self {
        Self { body: None, answer }
    }
}

impl<B: Body<Data: From<Vec<u8>>>> Body for OrAnswer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        if let Some(body) = this.body.as_pin_mut() {
            return body.poll_frame(cx);
        }
        let answer = core::mem::take(this.answer);
        Poll::Ready((!answer.is_empty()).then(|| Ok(Frame::data(answer.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().map_or(self.answer.is_empty(), B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(self.answer.len() as u64), B::size_hint)
    }
}

impl<B> fmt::Debug for OrAnswer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrAnswer").finish_non_exhaustive()
    }
}

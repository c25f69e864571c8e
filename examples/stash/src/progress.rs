//! How far a transfer has come, on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error; nothing at all if that is no terminal.
#[derive(Clone, Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new(what: &'static str) -> Self {
        let bar = ProgressBar::new(0).with_message(what);
        if let Ok(style) =
            ProgressStyle::with_template("{spinner:.green} {msg} {wide_bar:.green} {pos}/{len} chunks, {eta}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// What hears how many chunks have come, and how many there will be.
    pub(crate) fn teller(&self) -> impl Fn(u64, u64) + Clone + Send + Sync + 'static {
        let bar = self.0.clone();
        move |come, all| {
            bar.set_length(all);
            bar.set_position(come);
        }
    }

    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

//! Events that a program gives to `tracing` already.

use core::fmt::{self, Write};

use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

use super::{Group, LINE, Level, Logger, TracingSink};

/// A layer of `tracing_subscriber` that groups the events which a program has already (feature `tracing-layer`): those of
/// one place in the code within a short time become one line, with their number.
///
/// ```
/// use std::io;
/// use steadfast::{
///     Logger,
///     logger::{GroupLayer, WriteSink, by_message},
/// };
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let logger = Logger::builder().sentence(by_message).build(WriteSink::new(io::stderr()))?;
/// let subscriber = tracing_subscriber::registry().with(GroupLayer::new(logger.clone()).actor("peer"));
/// # tracing::subscriber::with_default(subscriber, || {
/// for peer in ["10.0.0.7", "10.0.0.8", "10.0.0.7"] {
///     tracing::warn!(target: "gateway", peer, "bad request");
/// }
/// # });
/// // ⚠️ [gateway] bad request: 10.0.0.7 and 10.0.0.8 ×3
/// # logger.shutdown();
/// # Ok::<(), io::Error>(())
/// ```
///
/// The lines may go to the same subscriber, by a [`TracingSink`]. Whatever writes there lets through only these, or each
/// event would come twice:
///
/// ```
/// # use steadfast::{Logger, logger::{GroupLayer, TracingSink, by_message}};
/// use tracing_subscriber::{Layer, filter::{LevelFilter, Targets}, fmt, layer::SubscriberExt};
///
/// let logger = Logger::builder().sentence(by_message).build(TracingSink)?;
/// let lines = Targets::new().with_target("steadfast", LevelFilter::INFO);
/// let subscriber =
///     tracing_subscriber::registry().with(GroupLayer::new(logger.clone())).with(fmt::layer().with_filter(lines));
/// # drop(subscriber);
/// # logger.shutdown();
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// - The service is the event's target, which is its module by default: the first 64 have [settings](Logger::set_show) of
///   their own, all others share the name "other". Its kind is the place in the code.
/// - One field may be the [`actor`](Self::actor), whose values are listed, and one the [`target`](Self::target), which keeps
///   groups apart. All others are written behind the message, and of a group the last message is shown.
/// - Text and fields are cut at 512 bytes, and escaped as everything else is. `TRACE` and `DEBUG` are
///   [`Level::Debug`]: shown of services that are verbose.
/// - Spans are not looked at, and what a [`TracingSink`] writes is left alone, or a line would be made of each line. Filters
///   are the subscriber's: `GroupLayer::new(logger).with_filter(LevelFilter::INFO)`.
///
/// It takes a lock for each event, and copies its text once.
#[doc(alias("deduplicate", "rate limit", "throttle", "tracing_throttle"))]
#[derive(Clone, Debug)]
pub struct GroupLayer {
    logger: Logger,
    actor: &'static str,
    target: &'static str,
}

impl GroupLayer {
    /// Events go to this logger. Build it with the sentence [`by_message`].
    #[must_use]
    pub const fn new(logger: Logger) -> Self {
        Self { logger, actor: "", target: "" }
    }

    /// The field that says who did it.
    #[must_use]
    pub const fn actor(mut self, field: &'static str) -> Self {
        self.actor = field;
        self
    }

    /// The field that says to whom it was done: events with another value are another group.
    #[must_use]
    pub const fn target(mut self, field: &'static str) -> Self {
        self.target = field;
        self
    }
}

impl<S: Subscriber> Layer<S> for GroupLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let metadata: &'static Metadata<'static> = event.metadata();
        if metadata.name() == TracingSink::NAME {
            return;
        }
        let mut texts =
            Texts { of: self, actor: Cut::new(), target: Cut::new(), message: Cut::new(), fields: Cut::new() };
        event.record(&mut texts);
        let Texts { actor, target, mut message, fields, .. } = texts;
        let _ = message.write_str(if message.0.is_empty() { fields.0.trim_start() } else { &fields.0 });
        let level = match *metadata.level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            _ => Level::Debug,
        };
        let service = self.logger.service(metadata.target());
        service.event(metadata.name(), &actor.0).target(&target.0).message(&message.0).level(level);
    }
}

/// How a group of a [`GroupLayer`] reads: what was said last, who, to whom, and how often. For
/// [`LoggerBuilder::sentence`](super::LoggerBuilder::sentence).
///
/// # Errors
///
/// Those of `out`.
pub fn by_message(group: &Group<'_>, out: &mut dyn Write) -> fmt::Result {
    out.write_str(if group.message().is_empty() { group.kind() } else { group.message() })?;
    if group.actors().at_least() > 0 {
        write!(out, ": {}", group.actors())?;
    }
    if !group.target().is_empty() {
        write!(out, " -> {}", group.target())?;
    }
    let count = group.count();
    if count > group.actors().at_least().max(1) {
        write!(out, " ×{count}")?;
    }
    Ok(())
}

/// What the fields of an event say.
struct Texts<'a> {
    of: &'a GroupLayer,
    actor: Cut,
    target: Cut,
    message: Cut,
    fields: Cut,
}

impl Texts<'_> {
    fn take(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // None of them fails: what is too long is cut.
        let _ = match field.name() {
            "message" => self.message.write_fmt(value),
            name if name == self.of.actor => self.actor.write_fmt(value),
            name if name == self.of.target => self.target.write_fmt(value),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}

impl Visit for Texts<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, format_args!("{value}"));
    }
}

/// Text up to the length of a line.
struct Cut(String);

impl Cut {
    const fn new() -> Self {
        Self(String::new())
    }
}

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LINE.saturating_sub(self.0.len());
        self.0.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or_default());
        Ok(())
    }
}

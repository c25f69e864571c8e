//! Events that a program gives to `tracing`, as lines.

use core::fmt;
use std::panic;

use tracing::{debug, error, info, trace, warn};
use tracing_subscriber::layer::SubscriberExt;

use super::*;

/// The lines of what `say` gives to `tracing`, with actors in `who` and targets in `whom`.
fn lines_of(say: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    let builder = Logger::builder().without_worker().verbose(["loud"]).sentence(by_message);
    let logger = builder.build(lines.clone()).unwrap();
    let layer = GroupLayer::new(logger.clone()).actor("who").target("whom");
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), say);
    logger.shutdown();
    adds_up(logger.stats());
    lines.take()
}

#[test]
fn events_of_one_place_become_one_line() {
    let lines = lines_of(|| {
        for (who, whom, size) in [("al ice", "x", 1), ("bob", "x", 2), ("bob", "y", 3), ("bob", "x", 4)] {
            warn!(target: "app", who, whom = %whom, size, "stored {size}");
        }
        for _ in 0..1_000 {
            error!(target: "app", "full");
        }
        info!(target: "app", answer = 42, is_right = true);
    });
    assert_eq!(
        lines,
        [
            "⚠️ [app] stored 4 size=4: \"al ice\" and bob -> x ×3",
            "⚠️ [app] stored 3 size=3: bob -> y",
            "❌ [app] full ×1000",
            "• [app] answer=42 is_right=true",
        ]
    );
}

#[test]
fn levels_are_the_services() {
    let lines = lines_of(|| {
        debug!(target: "loud", "seen");
        trace!(target: "loud", "seen too");
        debug!(target: "quiet", "not seen");
        info!(target: "quiet", "heard");
    });
    assert_eq!(lines, ["• [loud] seen", "• [loud] seen too", "• [quiet] heard"]);
}

#[test]
fn text_of_peers_breaks_no_line_however_long_it_is() {
    let lines = lines_of(|| {
        info!(target: "app", who = "bob\n[app] mallory", "a\nb");
        info!(target: "app", who = %"é".repeat(10_000), text = "é".repeat(10_000));
    });
    assert_eq!(lines[0], r#"• [app] a\nb: "bob\n[app] mallory""#);
    assert!(lines.len() == 2 && lines[1].len() <= LINE && lines[1].contains("éé"), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains('\n')));
}

#[test]
fn a_line_that_goes_to_tracing_makes_no_other() {
    let logger = Logger::builder().without_worker().sentence(by_message).build(TracingSink).unwrap();
    let subscriber = tracing_subscriber::registry().with(GroupLayer::new(logger.clone()));
    tracing::subscriber::with_default(subscriber, || {
        info!("hello");
        logger.flush();
        logger.drain();
        assert_eq!((logger.stats().seen, logger.stats().printed), (1, 1));
    });
}

#[test]
fn a_field_that_panics_does_so_to_its_caller_alone() {
    struct Panics;
    impl fmt::Debug for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("of a field")
        }
    }
    let lines = lines_of(|| {
        let say = || info!(target: "app", field = ?Panics, "lost");
        assert!(panic::catch_unwind(say).is_err());
        info!(target: "app", "said");
    });
    assert_eq!(lines, ["• [app] said"]);
}

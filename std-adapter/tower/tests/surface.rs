//! What every layer must be for a server: shared between threads, with futures that may move between them; and that the table
//! beside other crates in the README names what is there.

#![allow(clippy::arithmetic_side_effects, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use core::{future::Ready, net::IpAddr, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use http::uri::Authority;
use steadfast::{
    Breakers, CircuitBreaker, DedupCache, Gcra, RateLimiter, Reset, RetryBudget, RetryPolicy, Trip, dedup_cache::OnFull,
};
use steadfast_tower::{
    breaker::BreakerLayer,
    deadline::DeadlineLayer,
    idempotency::{Id, IdempotencyLayer},
    keys::{Everyone, PeerIp},
    limit::LimitLayer,
    retry::RetryLayer,
};
use tower::{Layer, Service, service_fn};

type Answers = Ready<Result<Response, core::convert::Infallible>>;

fn is_shared<R, L>(layer: &L)
where
    L: Layer<tower::util::ServiceFn<fn(R) -> Answers>> + Send + Sync + Clone + core::fmt::Debug,
    L::Service: Service<Request, Future: Send + core::fmt::Debug> + Send + Sync + Clone + core::fmt::Debug,
{
    fn answer<R>(_: R) -> Answers {
        core::future::ready(Ok(Response::new(Body::empty())))
    }
    let mut service = layer.clone().layer(service_fn(answer as fn(R) -> Answers));
    let future = service.call(Request::new(Body::from(Bytes::new())));
    assert!(format!("{layer:?} {service:?} {future:?}").contains(".."));
}

#[test]
fn every_layer_service_and_future_is_shared_and_sent() {
    let by_ip = RateLimiter::<IpAddr, _>::builder(Gcra::per_second(1)).build();
    let all = RateLimiter::<(), _>::builder(Gcra::per_second(1)).build();
    let limits = LimitLayer::all().quota("ip", &by_ip, PeerIp::direct()).quota("all", &all, Everyone);
    is_shared::<Request, _>(&limits);
    is_shared::<Request, _>(&limits.clone().refund_if(|_| true));
    is_shared::<Request, _>(&limits.rejecting());

    let reset = Reset::after(Duration::from_secs(30));
    let breaker = CircuitBreaker::new(Trip::consecutive(3), reset);
    is_shared::<Request, _>(&BreakerLayer::new(&breaker));
    is_shared::<Request, _>(&BreakerLayer::new(&breaker).guarding());
    is_shared::<Request, _>(&BreakerLayer::by_host(
        &Breakers::<Authority>::builder(Trip::consecutive(3), reset).build(),
    ));

    is_shared::<Request, _>(&DeadlineLayer::at_most(Duration::from_secs(30)));
    is_shared::<Request, _>(
        &DeadlineLayer::from_header("grpc-timeout").at_most(Duration::from_secs(30)).tell_upstream("x"),
    );

    is_shared(&RetryLayer::new(RetryPolicy::constant(Duration::ZERO), &RetryBudget::percent(20)));
    let seen = DedupCache::<Id>::builder(Duration::from_secs(60), OnFull::Refuse).keeping().build();
    is_shared(&IdempotencyLayer::new(&seen));
}

/// The table's rows in cells, without its head.
fn beside_other_crates() -> impl Iterator<Item = [&'static str; 6]> {
    let (_, table) = include_str!("../README.md").split_once("# Beside other crates").unwrap();
    let (_, rows) = table.split_once("|---|---|---|---|---|---|\n").unwrap();
    rows.lines().take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        cells.try_into().unwrap_or_else(|_| panic!("six cells: {line}"))
    })
}

#[test]
fn every_test_that_the_table_names_is_there() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap();
    let read_all = |path: &str| {
        let files = std::fs::read_dir(folder.join(path)).unwrap();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect::<String>()
    };
    let mut named = 0;
    for [_, ours, ..] in beside_other_crates() {
        let tests: Vec<_> = ours.split('`').filter_map(|code| code.split_once("::")).collect();
        assert!(!tests.is_empty() || ours.starts_with("no"), "nothing shows {ours:?}");
        for (file, test) in tests {
            let source = match file {
                "keys" => read("src/keys/tests.rs"),
                "gateway" => {
                    ["readme", "story"].map(|file| read(&format!("../../examples/gateway/tests/{file}.rs"))).concat()
                }
                "deadline" | "idempotency" => read_all(&format!("tests/{file}")),
                file => read(&format!("tests/{file}.rs")),
            };
            let (before, _) = source.split_once(&format!("fn {test}()")).unwrap_or_else(|| panic!("no {file}::{test}"));
            let attributes = before.rsplit("\n\n").next().unwrap();
            assert!(
                attributes.contains("#[test]") || attributes.contains("#[tokio::test"),
                "{file}::{test} does not run"
            );
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
}

#[test]
fn every_word_on_another_crate_leads_to_where_it_shows() {
    let mut links = 0;
    for [_, _, theirs @ ..] in beside_other_crates() {
        for (cell, version) in theirs.iter().zip(["0.8.0", "2.1.2", "0.13.0", "0.6.0"]) {
            let is_link =
                cell.starts_with('[') && cell.ends_with(')') && cell.matches("](https://docs.rs/").count() == 1;
            assert!(cell.is_empty() || is_link && cell.contains(&format!("/{version}/")), "{cell}");
            links += usize::from(is_link);
        }
    }
    assert!(links > 40, "{links}");
}

//! The engine is down, slow, lost its state or answers nonsense.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use steadfast::{
    Gcra, Reset,
    circuit_breaker::{AnyTrip, Percent},
};
use steadfast_redis::{By, Engine, Failure, SharedRateLimiter, SharedVerdict, WhenDown};

use crate::{
    dedup::{asking as ids, claimed},
    exact::{asking, drain, patient},
    proxy::Proxy,
    server::{Server, client, connect},
};

/// Nothing of it comes back while a test lasts.
const QUOTA: Gcra = Gcra::every(Duration::from_secs(3_600)).burst(100);

pub(crate) async fn manager(port: u16) -> ConnectionManager {
    let config = ConnectionManagerConfig::new().set_max_delay(Duration::from_millis(20)).set_response_timeout(None);
    ConnectionManager::new_with_config(client(port), config).await.unwrap()
}

/// Opens after three failures, and tries again soon.
pub(crate) fn quick(connection: ConnectionManager, timeout: Duration) -> Engine {
    let trip = AnyTrip::consecutive(NonZeroU32::new(3).unwrap());
    let reset = Reset::after(Duration::from_millis(100)).doubling().up_to(Duration::from_millis(400));
    Engine::builder(connection).timeout(timeout).breaker(trip, reset).build()
}

/// Asks until the engine decides again.
async fn back(limiter: &SharedRateLimiter) -> SharedVerdict {
    loop {
        let verdict = limiter.allow("back").await;
        if verdict.by == By::Engine {
            return verdict;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Down: each limiter says what it was built to say. Back: one burst, since the state is lost.
pub(crate) async fn killed_and_restarted() {
    let mut server = Server::start(&[]).await;
    let engine = quick(manager(server.port).await, Duration::from_secs(60));
    let of = |name, when_down| {
        SharedRateLimiter::builder(&engine, name, QUOTA).when_down(when_down).max_denial(Duration::ZERO).build()
    };
    let closed = of("closed", WhenDown::Deny);
    let open = of("open", WhenDown::Allow);
    let local = of("local", WhenDown::Local(Percent::new(50)));
    for limiter in [&closed, &open] {
        assert_eq!(drain(limiter, "a").await, 100);
    }
    // 40 of the 50 that this process has in an outage are used up while the engine is there.
    for _ in 0..40 {
        assert_eq!(local.allow("a").await.by, By::Engine);
    }
    server.kill();
    let mut allowed = [0; 3];
    for _ in 0..120 {
        for (limiter, allowed) in [&closed, &open, &local].into_iter().zip(&mut allowed) {
            let verdict = limiter.allow("a").await;
            assert_eq!(verdict.by, By::Fallback);
            *allowed += u32::from(verdict.is_allowed());
        }
    }
    assert_eq!(allowed, [0, 120, 10]);
    let rejected = engine.stats().rejected;
    while engine.stats().rejected == rejected {
        assert_eq!(closed.allow("b").await.by, By::Fallback, "the breaker answers at once");
    }
    assert_eq!(open.stats().fallback.allowed, 120);

    server.restart().await;
    assert!(back(&closed).await.is_allowed());
    assert_eq!(drain(&closed, "a").await, 100);
}

/// A partition: what may have run is not sent again, and after a few nobody waits.
pub(crate) async fn stopped_and_continued() {
    let server = Server::start(&[]).await;
    let engine = quick(manager(server.port).await, Duration::from_millis(300));
    let limiter = asking(&engine, "api", QUOTA);
    while limiter.allow("a").await.by != By::Engine {} // its timeout is short for a slow machine
    server.signal("STOP");
    let before = engine.stats();
    let mut asked = 0;
    while engine.stats().rejected < before.rejected + 1_000 {
        let verdict = limiter.allow("a").await;
        assert_eq!((verdict.by, verdict.is_allowed()), (By::Fallback, false));
        assert!(
            engine.stats().rejected == before.rejected
                || limiter.try_allow("a").is_none_or(|told| told.by == By::Fallback)
        );
        asked += 1;
    }
    let stats = engine.stats();
    assert!(stats.unknown >= before.unknown + 3 && stats.unknown - before.unknown <= asked - 1_000, "{stats:?}");
    server.signal("CONT");
    let _ = back(&limiter).await;
    // The engine has seen no more than was sent once.
    let info: String = server.run("INFO commandstats").await;
    let calls = |name: &str| -> u64 {
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
        line.map_or(0, |rest| rest.split(',').next().unwrap().parse().unwrap())
    };
    let stats = engine.stats();
    let sent = stats.answered + stats.unknown + stats.not_run + stats.reloaded;
    assert!(calls("evalsha") + calls("eval") <= sent, "{info} {stats:?}");
}

/// Charged once: the answer was lost, and nobody asks again.
pub(crate) async fn a_reply_is_lost() {
    let server = Server::start(&[]).await;
    let proxy = Proxy::start(server.port).await;
    let seen = patient(server.connect().await);
    let seen = asking(&seen, "api", Gcra::per_hour(10));
    assert!(seen.allow("other").await.is_allowed()); // so that the script is known
    let failed = Arc::new(AtomicBool::new(false));
    let engine = Engine::builder(connect(proxy.port()).await)
        .timeout(Duration::from_millis(500))
        .on_failure({
            let failed = failed.clone();
            move |failure| failed.store(matches!(failure, Failure::Unknown(_)), Ordering::SeqCst)
        })
        .build();
    let limiter = asking(&engine, "api", Gcra::per_hour(10));
    proxy.swallow(true);
    let verdict = limiter.allow("a").await;
    assert_eq!((verdict.by, verdict.is_allowed()), (By::Fallback, false));
    assert!(failed.load(Ordering::SeqCst));
    assert_eq!((engine.stats().unknown, engine.stats().reloaded), (1, 0));
    // The command may still be on its way.
    while server.run::<Option<String>>("GET sf:{api/a}").await.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(seen.allow("a").await.verdict.remaining, 8);
}

pub(crate) async fn flushed() {
    let server = Server::start(&[]).await;
    let engine = patient(server.connect().await);
    let limiter = asking(&engine, "api", QUOTA);
    for _ in 0..3 {
        assert_eq!(drain(&limiter, "a").await, 100);
        server.run::<()>("FLUSHALL").await;
    }
}

/// Without memory the script does not run: that is no decision. One that was evicted has its burst again.
pub(crate) async fn full() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]).await;
    let engine = patient(server.connect().await);
    let limiter = asking(&engine, "api", QUOTA);
    assert_eq!(drain(&limiter, "a").await, 100);
    server.run::<()>("CONFIG SET maxmemory 1").await;
    let verdict = limiter.allow("b").await;
    assert_eq!((verdict.by, engine.stats().not_run), (By::Fallback, 1));
    server.run::<()>("CONFIG SET maxmemory 0").await;
    assert_eq!(drain(&limiter, "a").await, 0, "it was kept");

    server.run::<()>("CONFIG SET maxmemory-policy allkeys-random").await;
    server.run::<()>("CONFIG SET maxmemory 1").await;
    while server.run::<u64>("DBSIZE").await > 0 {
        let _: Result<(), redis::RedisError> =
            redis::cmd("SET").arg("x").arg("y").query_async(&mut server.connect().await).await;
    }
    server.run::<()>("CONFIG SET maxmemory 0").await;
    assert_eq!(drain(&limiter, "a").await, 100, "one burst");
}

/// Nobody notices but by a second round trip.
pub(crate) async fn scripts_are_flushed() {
    let server = Server::start(&[]).await;
    let engine = patient(server.connect().await);
    let limiter = asking(&engine, "api", QUOTA);
    for call in 0..100 {
        if call % 5 == 0 {
            server.run::<()>("SCRIPT FLUSH").await;
        }
        let verdict = limiter.allow("a").await;
        assert_eq!((verdict.by, verdict.is_allowed()), (By::Engine, true));
    }
    assert_eq!((engine.stats().answered, engine.stats().reloaded), (100, 20));
    assert_eq!(drain(&limiter, "a").await, 0);
}

/// What the primary had not sent on is lost: one burst at most.
pub(crate) async fn a_replica_takes_over() {
    let mut primary = Server::start(&[]).await;
    let replica = Server::start(&["--replicaof", "127.0.0.1", &primary.port.to_string()]).await;
    let proxy = Proxy::start(primary.port).await;
    let engine = quick(manager(proxy.port()).await, Duration::from_secs(60));
    let limiter = asking(&engine, "api", QUOTA);
    while limiter.allow("a").await.by != By::Engine {}
    for _ in 0..59 {
        assert!(limiter.allow("a").await.is_allowed());
    }
    // What was written until here, the replica has.
    while replica.run::<Option<String>>("GET sf:{api/a}").await != primary.run("GET sf:{api/a}").await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    replica.run::<()>("REPLICAOF NO ONE").await;
    assert_eq!(drain(&limiter, "a").await, 40);
    proxy.lead_to(replica.port);
    primary.kill();
    let _ = back(&limiter).await;
    assert_eq!(drain(&limiter, "a").await, 40, "what it had not seen");
}

/// With the rights that the README names it decides; without one of them it says so.
pub(crate) async fn few_rights() {
    let server = Server::start(&[]).await;
    server.run::<()>("ACL SETUSER few on >secret ~sf:* +eval +evalsha +get +set +time").await;
    server.run::<()>("ACL SETUSER fewer on >secret ~sf:* +evalsha +get +set +time").await;
    let of = async |user: &str| {
        let client = redis::Client::open(format!("redis://{user}:secret@127.0.0.1:{}/", server.port)).unwrap();
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        patient(client.get_multiplexed_async_connection_with_config(&config).await.unwrap())
    };
    let (few, fewer) = (of("few").await, of("fewer").await);
    assert_eq!(asking(&fewer, "api", QUOTA).allow("a").await.by, By::Fallback);
    assert_eq!(fewer.stats().misused, 1);
    assert_eq!(drain(&asking(&few, "api", QUOTA), "a").await, 100);
    claimed(&ids(&few), "a").await.commit(b"").await.unwrap();
}

/// Told to the hook, and down.
pub(crate) async fn misused() {
    let server = Server::start(&[]).await;
    let told = Arc::new(AtomicBool::new(false));
    let hook = {
        let told = told.clone();
        move |failure: &Failure| told.store(matches!(failure, Failure::Misuse(_)), Ordering::SeqCst)
    };
    let engine = Engine::builder(server.connect().await).timeout(crate::exact::PATIENT).on_failure(hook).build();
    let limiter = asking(&engine, "api", QUOTA);
    server.run::<()>("HSET sf:{api/a} field value").await;
    assert_eq!(limiter.allow("a").await.by, By::Fallback);
    assert!(told.swap(false, Ordering::SeqCst));
    server.run::<()>("SET sf:{api/b} nonsense").await;
    assert_eq!(limiter.allow("b").await.by, By::Fallback);
    assert!(told.load(Ordering::SeqCst));
    assert_eq!(engine.stats().misused, 2);
    assert_eq!(limiter.allow("c").await.by, By::Engine);
}

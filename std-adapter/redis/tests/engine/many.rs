//! Many keys, several quotas, several nodes.

use std::{num::NonZeroU32, time::Duration};

use redis::cluster::ClusterClient;
use steadfast::Gcra;
use steadfast_redis::{AllowAllError, By, Engine, SharedRateLimiter, WhenDown};

use crate::{
    exact::{PATIENT, asking, drain, patient},
    scale,
    server::Server,
};

const ONE: NonZeroU32 = NonZeroU32::MIN;

fn tagged(engine: &Engine, name: &str, quota: Gcra) -> SharedRateLimiter {
    SharedRateLimiter::builder(engine, name, quota)
        .when_down(WhenDown::Deny)
        .max_denial(Duration::ZERO)
        .tag_by_key()
        .build()
}

/// 100,000, a million in the long form.
pub(crate) async fn a_flood_of_keys_is_gone_after_its_time() {
    let server = Server::start(&[]).await;
    let engine = patient(server.connect().await);
    let limiter = asking(&engine, "api", Gcra::per_second(1).burst(1));
    let flood = scale(100_000, 1_000_000);
    for batch in 0..flood / 1_000 {
        let keys: Vec<_> = (0..1_000).map(|key| format!("made-up {batch} {key}")).collect();
        let verdicts = limiter.allow_many(&keys).await;
        assert!(verdicts.iter().all(|verdict| verdict.is_allowed() && verdict.by == By::Engine));
    }
    assert!(limiter.allow("last").await.is_allowed());
    assert!(server.run::<i64>("PTTL sf:{api/last}").await <= 1_000);
    loop {
        let keyspace: String = server.run("INFO keyspace").await;
        let Some(line) = keyspace.lines().find_map(|line| line.strip_prefix("db0:")) else { break };
        let number = |name| line.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
        assert_eq!(number("keys="), number("expires="), "each of them ends");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// All or none.
pub(crate) async fn several_quotas_decide_as_one() {
    let server = Server::start(&[]).await;
    let engine = patient(server.connect().await);
    let (api, writes) = (
        tagged(&engine, "api", Gcra::every(Duration::from_secs(3_600)).burst(100)),
        tagged(&engine, "writes", Gcra::per_hour(10)),
    );
    let five = NonZeroU32::new(5).unwrap();
    let quotas = [(&api, "a", ONE), (&writes, "a", five)];
    for left in [5, 0] {
        let verdict = engine.allow_all(&quotas).await.unwrap().unwrap();
        assert_eq!((verdict.is_allowed(), verdict.by, verdict.verdict.remaining), (true, By::Engine, left));
    }
    let asked = engine.stats().answered;
    for _ in 0..20 {
        let verdict = engine.allow_all(&quotas).await.unwrap().unwrap();
        assert_eq!((verdict.is_allowed(), verdict.verdict.limit), (false, 10));
    }
    assert_eq!(engine.stats().answered, asked + 20, "one round trip each");
    assert_eq!(drain(&api, "a").await, 98, "who was denied has paid nothing");
    assert_eq!((api.stats().engine.allowed, writes.stats().engine.allowed, writes.stats().engine.denied), (100, 2, 20));

    let untagged = asking(&engine, "api", Gcra::per_hour(1));
    assert_eq!(engine.allow_all(&[(&api, "a", ONE), (&untagged, "a", ONE)]).await, Err(AllowAllError::NotOneSlot));
    assert_eq!(engine.allow_all(&[(&api, "a", ONE), (&writes, "b", ONE)]).await, Err(AllowAllError::NotOneSlot));
    assert_eq!(engine.allow_all(&[(&api, "a", ONE), (&api, "a", ONE)]).await, Err(AllowAllError::SameQuotaTwice));
    let too_much = [(&api, "a", ONE), (&writes, "a", NonZeroU32::new(11).unwrap())];
    assert!(matches!(engine.allow_all(&too_much).await, Err(AllowAllError::CostExceedsBurst(_))));
    assert_eq!(patient(server.connect().await).allow_all(&quotas).await, Err(AllowAllError::OtherEngine));
    assert_eq!(engine.allow_all(&[]).await, Ok(None));
}

/// Three nodes, and a slot that moves while it is asked for.
pub(crate) async fn a_cluster_of_three() {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Server::start(&["--cluster-enabled", "yes", "--cluster-node-timeout", "600000"]).await);
    }
    let slots = ["0 5460", "5461 10922", "10923 16383"];
    for (number, (node, slots)) in nodes.iter().zip(slots).enumerate() {
        node.run::<()>(&format!("CLUSTER SET-CONFIG-EPOCH {}", number + 1)).await;
        node.run::<()>(&format!("CLUSTER ADDSLOTSRANGE {slots}")).await;
        node.run::<()>(&format!("CLUSTER MEET 127.0.0.1 {}", nodes[0].port)).await;
    }
    for node in &nodes {
        while !node.run::<String>("CLUSTER INFO").await.contains("cluster_state:ok")
            || !node.run::<String>("CLUSTER INFO").await.contains("cluster_known_nodes:3")
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let addresses: Vec<_> = nodes.iter().map(|node| format!("redis://127.0.0.1:{}/", node.port)).collect();
    let engine = patient(
        ClusterClient::builder(addresses)
            .response_timeout(PATIENT)
            .build()
            .unwrap()
            .get_async_connection()
            .await
            .unwrap(),
    );
    let limiter = asking(&engine, "api", Gcra::per_hour(10));
    let keys: Vec<_> = (0..300).map(|key| format!("key {key}")).collect();
    for _ in 0..10 {
        assert!(limiter.allow_many(&keys).await.iter().all(|verdict| verdict.is_allowed() && verdict.by == By::Engine));
    }
    assert!(limiter.allow_many(&keys).await.iter().all(|verdict| !verdict.is_allowed() && verdict.by == By::Engine));
    for node in &nodes {
        assert!(node.run::<u64>("DBSIZE").await > 50, "each has its part");
    }
    let (api, writes) = (tagged(&engine, "api", Gcra::per_hour(10)), tagged(&engine, "writes", Gcra::per_hour(10)));
    for key in &keys {
        let verdict = engine.allow_all(&[(&api, key, ONE), (&writes, key, ONE)]).await.unwrap().unwrap();
        assert_eq!((verdict.is_allowed(), verdict.by), (true, By::Engine));
    }

    // The slot of one key moves, and its state with it.
    let asked = || async {
        let verdict = limiter.allow("moving").await;
        assert_eq!(verdict.by, By::Engine);
        verdict.is_allowed()
    };
    for _ in 0..4 {
        assert!(asked().await);
    }
    let slot: u16 = nodes[0].run("CLUSTER KEYSLOT sf:{api/moving}").await;
    let from = &nodes[usize::from(slot) / 5_461];
    let to = nodes.iter().find(|node| node.port != from.port).unwrap();
    let (from_id, to_id): (String, String) = (from.run("CLUSTER MYID").await, to.run("CLUSTER MYID").await);
    to.run::<()>(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}")).await;
    from.run::<()>(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}")).await;
    assert!(asked().await);
    from.run::<()>(&format!("MIGRATE 127.0.0.1 {} sf:{{api/moving}} 0 60000", to.port)).await;
    assert!(asked().await, "by ASK");
    for node in [to, from] {
        node.run::<()>(&format!("CLUSTER SETSLOT {slot} NODE {to_id}")).await;
    }
    assert!(asked().await, "by MOVED");
    for _ in 0..3 {
        assert!(asked().await);
    }
    assert!(!asked().await, "ten in all");
}

//! Ids and claims that processes share.

use std::{env, future::ready, process::Stdio, sync::atomic::Ordering, time::Duration};

use steadfast_redis::{CommitError, DedupWhenDown, Engine, SharedClaim, SharedClaimGuard, SharedDedup, SharedSeen};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
};

use crate::{
    down::{manager, quick},
    exact::patient,
    proxy::Proxy,
    scale,
    server::{Server, connect, signal},
    told::Shifted,
};

/// Nothing ends by itself while a test lasts: what is to end does so by an offset of the engine's clock.
const LEASE: Duration = Duration::from_secs(36_000);
const TTL: Duration = Duration::from_secs(360_000);

const PORT: &str = "ENGINE_TESTS_DEDUP_PORT";
const IDS: &str = "ENGINE_TESTS_DEDUP_IDS";

/// As one process has it: each knows what it has done itself.
fn process(engine: &Engine, when_down: DedupWhenDown) -> SharedDedup {
    SharedDedup::builder(engine, "orders", TTL).lease(LEASE).when_down(when_down).build()
}

pub(crate) fn asking(engine: &Engine) -> SharedDedup {
    process(engine, DedupWhenDown::Refuse)
}

pub(crate) async fn claimed(dedup: &SharedDedup, id: &str) -> SharedClaimGuard {
    match dedup.claim(id).await.unwrap() {
        SharedClaim::Fresh(claim) => claim,
        other => panic!("{other:?}"),
    }
}

async fn is_in_flight(dedup: &SharedDedup, id: &str) -> bool {
    matches!(dedup.claim(id).await.unwrap(), SharedClaim::InFlight { .. })
}

async fn replayed(dedup: &SharedDedup, id: &str) -> Vec<u8> {
    match dedup.claim(id).await.unwrap() {
        SharedClaim::Duplicate { note } => note.to_vec(),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn claimed_once_and_replayed() {
    let server = Server::start(&[]).await;
    let engine = patient(server.connect().await);
    let (first, second) = (asking(&engine), asking(&engine));
    let mut claim = claimed(&first, "a").await;
    assert!(is_in_flight(&second, "a").await && is_in_flight(&first, "a").await);
    assert_eq!(second.check("a").await, Ok(SharedSeen::Duplicate));
    let SharedClaim::InFlight { retry_at } = second.claim("a").await.unwrap() else { panic!("in flight") };
    assert!(retry_at <= engine.now().saturating_add(LEASE));
    claim.renew().await.unwrap();

    let note = b"any bytes\0\n% {} \xff";
    assert_eq!(claim.commit(&[0; 4_097]).await, Err(CommitError::NoteTooLong));
    claim.commit(note).await.unwrap();
    claim.commit(b"again").await.unwrap();
    assert_eq!(claim.renew().await, Err(CommitError::ClaimLost));
    assert_eq!(replayed(&second, "a").await, note);
    let asked = engine.stats().answered;
    assert_eq!(replayed(&first, "a").await, note);
    assert_eq!(engine.stats().answered, asked, "what this process has done, it knows");

    let mut claim = claimed(&first, "largest note").await;
    claim.commit(&[7; 4_096]).await.unwrap();
    assert_eq!(replayed(&second, "largest note").await, [7; 4_096]);

    let claim = claimed(&first, "b").await;
    let fence = claim.fence();
    claim.abort().await;
    assert!(claimed(&second, "b").await.fence() > fence);
    drop(claimed(&second, "c").await);
    for dedup in [&first, &second] {
        assert!(is_in_flight(dedup, "c").await, "nobody knows whether the work was done");
    }

    assert_eq!(first.check("d").await, Ok(SharedSeen::Fresh));
    for dedup in [&first, &second] {
        assert_eq!(dedup.check("d").await, Ok(SharedSeen::Duplicate));
        assert!(replayed(dedup, "d").await.is_empty());
    }
    assert!(server.run::<u64>("PTTL sf:id:{orders/d}").await <= TTL.as_millis() as u64);

    server.signal("STOP");
    let (mut one, mut other) = (Box::pin(first.check("e")), Box::pin(first.check("e")));
    for check in [&mut one, &mut other] {
        tokio::select! { biased; seen = check => panic!("{seen:?}, before the engine has said so"), () = ready(()) => {} }
    }
    server.signal("CONT");
    let seen = [one.await.unwrap(), other.await.unwrap()];
    assert!(seen.contains(&SharedSeen::Fresh) && seen.contains(&SharedSeen::Duplicate), "{seen:?}");

    server.run::<()>("SET sf:id:{orders/foreign} nonsense").await;
    assert!(first.claim("foreign").await.is_err());
    let stats = (first.stats(), engine.stats());
    assert_eq!((stats.0.fresh, stats.0.refused, stats.1.misused), (5, 1, 1));
}

/// If this process is one of a fleet. It claims each id and tells which it got; or it claims one, waits for a line, and
/// tells whether its commit was in time.
pub(crate) fn is_member() -> bool {
    let (Ok(port), Ok(ids)) = (env::var(PORT), env::var(IDS)) else { return false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let dedup = asking(&patient(connect(port.parse().unwrap()).await));
        let Ok(ids) = ids.parse::<u32>() else {
            let mut claim = claimed(&dedup, &ids).await;
            println!("{}", claim.fence().unwrap());
            std::io::stdin().read_line(&mut String::new()).unwrap();
            println!("{:?}", claim.commit(b"late").await);
            return;
        };
        for id in 0..ids {
            if let SharedClaim::Fresh(mut claim) = dedup.claim(id.to_string()).await.unwrap() {
                println!("{id}");
                claim.commit(id.to_string().as_bytes()).await.unwrap();
            }
        }
    });
    true
}

fn member(server: &Server, ids: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .env(PORT, server.port.to_string())
        .env(IDS, ids)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Never twice, and always once.
pub(crate) async fn three_processes_work_on_each_id_once() {
    let server = Server::start(&[]).await;
    let ids = scale(500, 20_000);
    let members: Vec<_> = (0..3).map(|_| member(&server, &ids.to_string())).collect();
    let mut worked_on = Vec::new();
    for member in members {
        let output = member.wait_with_output().await.unwrap();
        assert!(output.status.success());
        let lines = String::from_utf8(output.stdout).unwrap();
        worked_on.extend(lines.lines().map(|id| id.parse::<usize>().unwrap()));
    }
    worked_on.sort_unstable();
    assert!(worked_on.into_iter().eq(0..ids));
    let dedup = asking(&patient(server.connect().await));
    for id in (0..ids).step_by(50) {
        let id = id.to_string();
        assert_eq!(replayed(&dedup, &id).await, id.as_bytes());
    }
}

/// The lease frees the id of one that was killed. One that goes on too late is refused, and its fence is the smaller one.
pub(crate) async fn a_process_is_killed_or_stopped_while_it_holds_a_claim() {
    let server = Server::start(&[]).await;
    let later = Shifted::new(server.connect().await);
    let dedup = asking(&patient(later.clone()));
    for is_killed in [true, false] {
        later.offset.store(0, Ordering::SeqCst);
        let id = if is_killed { "of one that is killed" } else { "of one that is stopped" };
        let mut member = member(&server, id);
        let mut told = BufReader::new(member.stdout.take().unwrap()).lines();
        let fence: u64 = told.next_line().await.unwrap().unwrap().parse().unwrap();
        signal(member.id().unwrap(), if is_killed { "KILL" } else { "STOP" });
        assert!(is_in_flight(&dedup, id).await);
        later.offset.store(LEASE.as_micros() as i64, Ordering::SeqCst);
        let mut claim = claimed(&dedup, id).await;
        assert!(claim.fence().unwrap() > fence);
        if !is_killed {
            signal(member.id().unwrap(), "CONT");
            member.stdin.take().unwrap().write_all(b"\n").await.unwrap();
            assert_eq!(told.next_line().await.unwrap().unwrap(), "Err(ClaimLost)");
        }
        claim.commit(b"second").await.unwrap();
        assert_eq!(replayed(&asking(&patient(server.connect().await)), id).await, b"second");
    }
}

/// By the engine's clock alone.
pub(crate) async fn a_late_commit_is_refused() {
    let server = Server::start(&[]).await;
    let clock = Shifted::new(server.connect().await);
    let engine = patient(clock.clone());
    let (first, second, third) = (asking(&engine), asking(&engine), asking(&engine));
    let (mut late, mut later) = (claimed(&first, "a").await, claimed(&first, "b").await);
    clock.offset.fetch_add((LEASE / 2).as_micros() as i64, Ordering::SeqCst);
    late.renew().await.unwrap();
    clock.offset.fetch_add((LEASE / 2).as_micros() as i64, Ordering::SeqCst);
    assert!(is_in_flight(&second, "a").await, "it was renewed");
    clock.offset.fetch_add((LEASE / 2).as_micros() as i64, Ordering::SeqCst);

    let mut claim = claimed(&second, "a").await;
    assert!(claim.fence() > late.fence());
    assert_eq!(late.commit(b"first").await, Err(CommitError::ClaimLost));
    assert_eq!(late.renew().await, Err(CommitError::ClaimLost));
    late.abort().await;
    assert!(is_in_flight(&third, "a").await, "who is late frees nothing");
    claim.commit(b"second").await.unwrap();
    assert_eq!(replayed(&third, "a").await, b"second");

    later.commit(b"nobody else came").await.unwrap();
    assert_eq!(replayed(&third, "b").await, b"nobody else came");
    clock.offset.fetch_add(TTL.as_micros() as i64, Ordering::SeqCst);
    assert!(claimed(&third, "a").await.fence() > claim.fence(), "its time is over");
}

pub(crate) async fn a_clock_that_steps_back_frees_and_blocks_nothing() {
    let server = Server::start(&[]).await;
    let clock = Shifted::new(server.connect().await);
    let engine = patient(clock.clone());
    let (first, second, third) = (asking(&engine), asking(&engine), asking(&engine));
    let mut claim = claimed(&first, "a").await;
    claimed(&first, "done").await.commit(b"note").await.unwrap();
    clock.offset.store(-(10 * TTL.as_micros() as i64), Ordering::SeqCst);
    assert_eq!(replayed(&second, "done").await, b"note");
    assert!(is_in_flight(&second, "a").await);
    let SharedClaim::InFlight { retry_at } = second.claim("a").await.unwrap() else { panic!("in flight") };
    assert!(retry_at <= engine.now().saturating_add(LEASE));
    clock.offset.fetch_add(LEASE.as_micros() as i64, Ordering::SeqCst);
    let mut next = claimed(&second, "a").await;
    assert!(next.fence() > claim.fence(), "although the clock is behind");
    assert_eq!(claim.commit(b"late").await, Err(CommitError::ClaimLost));
    next.commit(b"").await.unwrap();
    assert_eq!(replayed(&third, "done").await, b"note");
    clock.offset.fetch_add(TTL.as_micros() as i64, Ordering::SeqCst);
    drop(claimed(&third, "done").await);
}

/// It ran, and the answer was lost: by its token it is the same claim.
pub(crate) async fn replies_are_lost() {
    let server = Server::start(&[]).await;
    let proxy = Proxy::start(server.port).await;
    let engine = quick(manager(proxy.port()).await, Duration::from_secs(60));
    let (first, second) = (asking(&engine), asking(&patient(server.connect().await)));
    drop(claimed(&first, "so that the script is known").await);
    proxy.cut_once();
    let mut claim = claimed(&first, "a").await;
    assert!(!proxy.cuts() && is_in_flight(&second, "a").await);
    proxy.cut_once();
    claim.renew().await.unwrap();
    proxy.cut_once();
    claim.commit(b"note").await.unwrap();
    assert_eq!(replayed(&second, "a").await, b"note");
    proxy.cut_once();
    assert_eq!(first.check("b").await, Ok(SharedSeen::Fresh));
    assert_eq!(second.check("b").await, Ok(SharedSeen::Duplicate));
    proxy.cut_once();
    claimed(&first, "c").await.abort().await;
    drop(claimed(&second, "c").await);
    assert!(!proxy.cuts());
}

/// A loss: the older one is refused, and its fence is smaller.
pub(crate) async fn flushed() {
    let server = Server::start(&[]).await;
    let engine = patient(server.connect().await);
    let (first, second) = (asking(&engine), asking(&engine));
    let mut old = claimed(&first, "a").await;
    server.run::<()>("FLUSHALL").await;
    assert_eq!(old.renew().await, Err(CommitError::ClaimLost));
    let mut new = claimed(&second, "a").await;
    assert!(new.fence() > old.fence());
    assert_eq!(old.commit(b"old").await, Err(CommitError::ClaimLost));
    new.commit(b"new").await.unwrap();
    assert_eq!(replayed(&asking(&engine), "a").await, b"new");
}

/// Down: refused, or each process by itself.
pub(crate) async fn killed_and_restarted() {
    let mut server = Server::start(&[]).await;
    let engine = quick(manager(server.port).await, Duration::from_secs(60));
    let (closed, open) = (asking(&engine), process(&engine, DedupWhenDown::Process));
    claimed(&open, "before").await.commit(b"note").await.unwrap();
    let mut held = claimed(&open, "held").await;
    server.kill();
    assert!(closed.claim("a").await.is_err() && closed.check("b").await.is_err());
    let mut claim = claimed(&open, "a").await;
    assert_eq!(claim.fence(), None);
    assert!(is_in_flight(&open, "a").await);
    claim.commit(b"alone").await.unwrap();
    assert_eq!(replayed(&open, "a").await, b"alone");
    assert_eq!(replayed(&open, "before").await, b"note");
    drop(claimed(&open, "b").await);
    assert!(is_in_flight(&open, "b").await, "nobody knows whether the work was done");
    assert_eq!(open.check("c").await, Ok(SharedSeen::Fresh));
    assert_eq!(open.check("c").await, Ok(SharedSeen::Duplicate));
    assert!(matches!(held.commit(b"").await, Err(CommitError::Down(_))));
    let rejected = engine.stats().rejected;
    while engine.stats().rejected == rejected {
        assert!(closed.claim("d").await.is_err(), "the breaker answers at once");
    }
    assert!(closed.stats().refused > 2);

    server.restart().await;
    while closed.check("back").await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(claimed(&closed, "d").await.fence().is_some());
    assert_eq!(held.commit(b"").await, Err(CommitError::ClaimLost), "the state is lost");
}

pub(crate) async fn scripts_are_flushed() {
    let server = Server::start(&[]).await;
    let engine = patient(server.connect().await);
    let (first, second) = (asking(&engine), asking(&engine));
    for id in 0..50 {
        let id = id.to_string();
        server.run::<()>("SCRIPT FLUSH").await;
        let mut claim = claimed(&first, &id).await;
        server.run::<()>("SCRIPT FLUSH").await;
        claim.commit(id.as_bytes()).await.unwrap();
        assert_eq!(replayed(&second, &id).await, id.as_bytes());
    }
    assert_eq!((engine.stats().answered, engine.stats().reloaded), (150, 100));
}

/// A claim that the replica had not seen: the fence grows all the same.
pub(crate) async fn a_replica_takes_over() {
    let mut primary = Server::start(&[]).await;
    let replica = Server::start(&["--replicaof", "127.0.0.1", &primary.port.to_string()]).await;
    let proxy = Proxy::start(primary.port).await;
    let engine = quick(manager(proxy.port()).await, Duration::from_secs(60));
    let (first, second) = (asking(&engine), asking(&engine));
    claimed(&first, "a").await.commit(b"seen").await.unwrap();
    while replica.run::<Option<String>>("GET sf:id:{orders/a}").await
        != primary.run::<Option<String>>("GET sf:id:{orders/a}").await
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    replica.run::<()>("REPLICAOF NO ONE").await;
    let mut old = claimed(&first, "b").await;
    proxy.lead_to(replica.port);
    primary.kill();
    while second.check("back").await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(replayed(&second, "a").await, b"seen");
    let mut new = claimed(&second, "b").await;
    assert!(new.fence() > old.fence());
    assert_eq!(old.commit(b"").await, Err(CommitError::ClaimLost));
    new.commit(b"").await.unwrap();
}

//! A story with checks: a flood, an upstream that fails, one that hangs, orders that come twice, settings that change, and
//! an end in the middle of the work.

use std::{
    error::Error,
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use http::StatusCode;
use rusqlite::Connection;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    client::{Answer, Client},
    process::{Folder, Process},
    shop::{Mode, Shop},
};

/// Requests at once of one API key, and of one address, in the story.
const OF_A_KEY: u32 = 10;
const OF_AN_ADDRESS: u32 = 30;
const FLOOD: u32 = 200;
/// All retries together, beside a fifth of the requests.
const BUDGET: u32 = 10;
/// So many calls are the requests of one key, with their retries.
const MOST_CALLS: u64 = (OF_A_KEY + OF_A_KEY / 5 + BUDGET) as u64;
/// After how many failures a breaker may open.
const MIN_CALLS: u64 = 5;
/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

type Told = Result<(), Box<dyn Error + Send + Sync>>;

struct Story {
    orders: Shop,
    stock: Shop,
    client: Client,
    begun: Instant,
    failed: u32,
}

/// Tells it; true if all checks hold.
pub(crate) async fn tell() -> Result<bool, Box<dyn Error + Send + Sync>> {
    let folder = Folder::new()?;
    let (file, audit) = (folder.file("settings.toml"), folder.file("audit.sqlite"));
    let (orders, stock) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
    let settings = settings(orders.local_addr()?, stock.local_addr()?, &audit)?;
    fs::write(&file, &settings)?;
    let mut process = Process::start(&file).await?;
    let client = Client::new(process.address, "192.0.2.1", "flood");
    let mut story =
        Story { orders: Shop::start(orders), stock: Shop::start(stock), client, begun: Instant::now(), failed: 0 };
    story.flood().await?;
    story.upstream_that_fails().await?;
    story.upstream_that_hangs().await?;
    story.orders_that_come_twice().await?;
    story.what_was_counted().await?;
    story.other_settings(&mut process, &file, &settings).await?;
    story.end_in_the_middle(process, &file, &audit).await?;
    println!("{}", if story.failed == 0 { "all holds" } else { "not all holds" });
    Ok(story.failed == 0)
}

/// Those of the file, with limits that a slow machine does not get past.
fn settings(orders: SocketAddr, stock: SocketAddr, audit: &Path) -> Result<String, Box<dyn Error + Send + Sync>> {
    let mut settings: toml::Table = toml::from_str(include_str!("../settings.toml"))?;
    let others = format!(
        "listen = '127.0.0.1:0'
         orders = '{orders}'
         stock = '{stock}'
         deadline = '60s'
         breakers = {{ call_timeout = '5s', trip = {{ window = '20 calls', failures = '50%', min_calls = {MIN_CALLS} }}, \
         reset = {{ after = '1s', up_to = '10s', doubling = true, jitter = '20%' }} }}
         audit_file = '{}'
         limits.address = {{ rate = '1/h', burst = {OF_AN_ADDRESS} }}
         limits.api_key = {{ rate = '1/h', burst = {OF_A_KEY} }}
         retry_budget = {{ share = '20%', burst = {BUDGET}, floor_per_second = 0 }}",
        audit.display(),
    );
    settings.extend(toml::from_str::<toml::Table>(&others)?);
    Ok(toml::to_string(&settings)?)
}

impl Story {
    fn check(&mut self, holds: bool, what: &str) {
        println!("  {} {what}", if holds { "ok  " } else { "FAIL" });
        self.failed = self.failed.saturating_add(u32::from(!holds));
    }

    /// At most how many units a quota of one an hour has gained since the beginning.
    fn gained(&self) -> usize {
        usize::try_from(self.begun.elapsed().as_secs() / 3_600).unwrap_or(usize::MAX).saturating_add(1)
    }

    /// So many requests at once, and their answers.
    async fn all_at_once(client: &Client, path: &str, times: u32) -> Result<Vec<Answer>, Box<dyn Error + Send + Sync>> {
        let mut asked = JoinSet::new();
        for _ in 0..times {
            let (client, path) = (client.clone(), path.to_owned());
            asked.spawn(async move { client.get(&path).await });
        }
        asked.join_all().await.into_iter().collect()
    }

    /// Asks until the answer is this one: others are those of an open breaker.
    async fn until(&self, status: StatusCode, mut client: Client, path: &str) -> Told {
        let begun = Instant::now();
        for number in 0_u32.. {
            client = client.with(&format!("198.51.100.{}", number % 200), &format!("until {path} {number}"));
            if client.get(path).await?.status == status {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("{path} is never answered by {status}").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn flood(&mut self) -> Told {
        println!("a flood");
        let answers = Self::all_at_once(&self.client, "/stock/nuts", FLOOD).await?;
        let (served, denied): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == StatusCode::OK);
        let most = OF_A_KEY as usize;
        let is_quota = (most..=most.saturating_add(self.gained())).contains(&served.len());
        self.check(is_quota, &format!("of {FLOOD} requests of one API key {} are served", served.len()));
        let is_told = denied.iter().all(|answer| {
            answer.status == StatusCode::TOO_MANY_REQUESTS
                && answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| (1..=3_600).contains(&seconds))
                && answer.header("ratelimit").contains("\"key\";r=0")
                && answer.body.contains("\"violated-policies\":[\"key\"]")
        });
        self.check(is_told, "the others are told by which limit, and when to come again");

        let mut served = 0_usize;
        let mut violated = String::new();
        for key in ["second", "third", "fourth"] {
            for answer in Self::all_at_once(&self.client.with("192.0.2.1", key), "/stock/nuts", OF_A_KEY).await? {
                if answer.status == StatusCode::OK {
                    served = served.saturating_add(1);
                } else {
                    violated = answer.body;
                }
            }
        }
        let left = OF_AN_ADDRESS.saturating_sub(OF_A_KEY) as usize;
        self.check(
            (left.saturating_sub(1)..=left.saturating_add(self.gained())).contains(&served),
            &format!("what was denied has taken nothing from the address: {served} more are served"),
        );
        self.check(violated.contains("[\"address\"]"), "then the address is what denies");
        let elsewhere = Self::all_at_once(&self.client.with("192.0.2.2", "fourth"), "/stock/nuts", OF_A_KEY).await?;
        let is_served = elsewhere.iter().all(|answer| answer.status == StatusCode::OK);
        self.check(is_served, "which has taken nothing from the key that it denied: elsewhere all is served");

        let spoofed = self.client.with("203.0.113.9, 192.0.2.1", "spoofer").get("/stock/nuts").await?;
        self.check(
            spoofed.status == StatusCode::TOO_MANY_REQUESTS,
            "an address that the client makes up is not believed",
        );
        let denied = self.client.stock("nuts").await?.err();
        let is_denied = denied.is_some_and(|status| {
            status.code() == tonic::Code::ResourceExhausted
                && tonic_types::StatusExt::get_details_retry_info(&status).is_some()
        });
        self.check(is_denied, "gRPC has the same limits, and tells in its own way when to come again");
        let stock = self.client.with("192.0.2.3", "grpc").stock("nuts").await?;
        self.check(stock.is_ok_and(|stock| stock == "7 of nuts"), "and is served within them");
        Ok(())
    }

    async fn upstream_that_fails(&mut self) -> Told {
        println!("an upstream that fails");
        self.stock.set_mode(Mode::Stumble);
        let before = self.stock.asked();
        let mut served = 0_u32;
        for _ in 0..OF_A_KEY {
            let answer = self.client.with("192.0.2.9", "stumbles").get("/stock/nuts").await?;
            served = served.saturating_add(u32::from(answer.status == StatusCode::OK));
        }
        let asked = self.stock.asked().saturating_sub(before);
        self.check(
            served == OF_A_KEY && asked > u64::from(OF_A_KEY) && asked <= MOST_CALLS,
            &format!(
                "every third call fails: all {served} are served by {asked} calls, at most {MOST_CALLS} by the budget"
            ),
        );
        self.stock.set_mode(Mode::Fail);
        let before = self.stock.asked();
        let client = self.client.with("192.0.2.10", "fails");
        let answers = Self::all_at_once(&client, "/stock/nuts", OF_A_KEY).await?;
        let asked = self.stock.asked().saturating_sub(before);
        self.check(asked <= MOST_CALLS, &format!("all fail: {OF_A_KEY} requests and their retries are {asked} calls"));
        let is_down = answers.iter().all(|answer| answer.status == StatusCode::SERVICE_UNAVAILABLE);
        self.check(is_down, "all are told that it is not available");

        let before = self.stock.asked();
        let client = self.client.with("192.0.2.11", "is open");
        let answers = Self::all_at_once(&client, "/stock/nuts", OF_A_KEY).await?;
        // A probe may be due, and its retry.
        let asked = self.stock.asked().saturating_sub(before);
        let is_open = answers.iter().any(|answer| !answer.header("retry-after").is_empty());
        self.check(
            is_open && asked < u64::from(OF_A_KEY),
            &format!("its breaker is open: {asked} more calls reach it"),
        );
        let other = self.client.with("192.0.2.12", "other").get("/orders/7").await?;
        self.check(other.body == "order 7", "the other upstream is served as before");

        self.stock.set_mode(Mode::Ok);
        self.until(StatusCode::OK, self.client.clone(), "/stock/nuts").await?;
        self.check(true, "it is mended, and served again");
        Ok(())
    }

    async fn upstream_that_hangs(&mut self) -> Told {
        println!("an upstream that hangs");
        self.orders.set_mode(Mode::Hang);
        let before = self.orders.asked();
        let client = self.client.with("192.0.2.20", "hangs");
        let begun = Instant::now();
        let answers = Self::all_at_once(&client, "/orders/7", OF_A_KEY).await?;
        let is_cut = answers
            .iter()
            .all(|answer| matches!(answer.status, StatusCode::GATEWAY_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE));
        let asked = self.orders.asked().saturating_sub(before);
        // By their deadline alone they would have waited for a minute.
        let is_cut = is_cut && begun.elapsed() < Duration::from_secs(50);
        self.check(is_cut && asked >= MIN_CALLS - 1, "nobody waits for it longer than calls may take");
        self.until(StatusCode::SERVICE_UNAVAILABLE, self.client.clone(), "/orders/7").await?;
        self.check(true, "its breaker sees that, and opens");
        self.orders.set_mode(Mode::Ok);
        self.until(StatusCode::OK, self.client.clone(), "/orders/7").await?;
        self.check(true, "it is mended, and served again");
        Ok(())
    }

    async fn orders_that_come_twice(&mut self) -> Told {
        println!("orders that come twice");
        let client = self.client.with("192.0.2.30", "buyer");
        let before = self.orders.placed();
        let mut asked = JoinSet::new();
        for _ in 0..5 {
            let client = client.clone();
            asked.spawn(async move { client.post(Some("order-1"), "nuts").await });
        }
        let answers = asked.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let is_known = answers.iter().all(|answer| matches!(answer.status, StatusCode::CREATED | StatusCode::CONFLICT));
        let again = client.post(Some("order-1"), "nuts").await?;
        let placed = self.orders.placed().saturating_sub(before);
        self.check(is_known && placed == 1, &format!("one key five times at once places {placed} order"));
        self.check(
            (again.status, again.header("idempotent-replayed")) == (StatusCode::CREATED, "true"),
            "who asks again gets the same answer",
        );
        let other = client.post(Some("order-1"), "bolts").await?;
        self.check(other.status == StatusCode::UNPROCESSABLE_ENTITY, "with another order it is refused");
        let without = client.post(None, "nuts").await?;
        self.check(without.status == StatusCode::BAD_REQUEST, "without a key too");
        self.orders.set_mode(Mode::Mute);
        let cut = client.post(Some("order-2"), "nuts").await?;
        let again = client.post(Some("order-2"), "nuts").await?;
        self.orders.set_mode(Mode::Ok);
        let placed = self.orders.placed().saturating_sub(before);
        self.check(
            (cut.status, again.status, placed) == (StatusCode::GATEWAY_TIMEOUT, StatusCode::CONFLICT, 2),
            "one that is placed, but not answered, is not placed again",
        );
        let stranger = self.client.with("192.0.2.31", "stranger").post(Some("order-1"), "nuts").await?;
        let placed = self.orders.placed().saturating_sub(before);
        self.check(
            stranger.header("idempotent-replayed").is_empty() && placed == 3,
            "the same key of another client is another order",
        );
        Ok(())
    }

    /// A number in the answer of `/metrics`.
    async fn count(&self, name: &str, labels: &[&str]) -> Result<u64, Box<dyn Error + Send + Sync>> {
        let metrics = self.client.get("/metrics").await?.body;
        let start = format!("{name}{{");
        let is_it = |line: &&str| line.starts_with(&start) && labels.iter().all(|label| line.contains(label));
        let line = metrics.lines().find(is_it).ok_or_else(|| format!("no {name} with {labels:?} in\n{metrics}"))?;
        Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
    }

    async fn what_was_counted(&mut self) -> Told {
        println!("what was counted");
        let key = r#"steadfast_name="key""#;
        let denied = self.count("steadfast_rate_limiter_decisions", &[key, r#"decision="denied""#]).await?;
        let least = u64::from(FLOOD - OF_A_KEY).saturating_sub(self.gained() as u64);
        self.check(denied >= least, &format!("/metrics tells how many requests were denied: {denied}"));
        let opened = self.count("steadfast_circuit_breaker_transitions", &[r#"to="open""#]).await?;
        self.check(opened >= 2, &format!("and how often a breaker opened: {opened}"));
        Ok(())
    }

    async fn other_settings(&mut self, process: &mut Process, file: &Path, settings: &str) -> Told {
        println!("other settings");
        let misspelt = settings.replace("max_retries", "max_retires");
        fs::write(file, &misspelt)?;
        let refused = process.reload().await?;
        self.check(
            refused.ends_with("settings stay as they were\n") && refused.contains("max_retires"),
            "a file with an error changes nothing, and it is told which",
        );
        let wider = settings.replace(&format!("burst = {OF_A_KEY}\nrate"), &format!("burst = {}\nrate", OF_A_KEY + 5));
        fs::write(file, &wider)?;
        let read = process.reload().await?;
        self.check(wider != settings && read == "settings read anew\n", "a wider limit is read");
        let client = self.client.with("192.0.2.40", "flood"); // the key of the flood, elsewhere
        let answers = Self::all_at_once(&client, "/stock/nuts", OF_A_KEY).await?;
        let served = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
        self.check(
            (5..=5_usize.saturating_add(self.gained())).contains(&served),
            &format!("who had used up the former one gets what is more: {served}"),
        );
        Ok(())
    }

    async fn end_in_the_middle(&mut self, mut process: Process, file: &Path, audit: &Path) -> Told {
        println!("an end in the middle of the work");
        let (told, mut answers) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..50_u32 {
            let client = self.client.with(&format!("198.18.{number}.1"), &format!("worker {number}"));
            let told = told.clone();
            drop(tokio::spawn(async move {
                // Until there is nobody who answers.
                for order in 0..OF_A_KEY {
                    let path = format!("/stock/of-{number}-{order}");
                    let Ok(answer) = client.get(&path).await else { break };
                    _ = told.send((path, answer.status));
                }
            }));
        }
        drop(told);
        let mut answered = Vec::new();
        while let Some(answer) = answers.recv().await {
            answered.push(answer);
            if answered.len() == 100 {
                process.terminate().await?;
            }
        }
        if answered.len() < 100 {
            process.terminate().await?;
        }
        let has_ended = process.wait().await?;
        let written = written(audit)?;
        let missing = answered
            .iter()
            .filter(|(path, status)| !written.contains(&(format!("GET {path}"), status.as_u16())))
            .count();
        self.check(has_ended, &format!("it ends by itself, after {} answers of {}", answered.len(), 50 * OF_A_KEY));
        self.check(missing == 0, &format!("of those answers {missing} are missing in the audit"));

        let process = Process::start(file).await?;
        let client = Client::new(process.address, "192.0.2.50", "after");
        let answer = client.get("/stock/after").await?;
        process.terminate().await?;
        let mut process = process;
        let has_ended = process.wait().await?;
        let again = self::written(audit)?;
        self.check(
            answer.status == StatusCode::OK && has_ended && again.len() == written.len().saturating_add(1),
            "it starts again, and the audit goes on",
        );
        Ok(())
    }
}

/// The requests in the audit with their answers.
fn written(audit: &Path) -> rusqlite::Result<Vec<(String, u16)>> {
    let table = Connection::open(audit)?;
    let mut rows = table.prepare("SELECT request, status FROM audit")?;
    let rows = rows.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

//! The page in a real browser: what it shows, and that each of its decisions is the one that is made here.
//!
//! It needs Chromium (Debian's `chromium-headless-shell` or `chromium`) and what builds the page (see `page/build`), and
//! is skipped where they are missing; with `CI=true` that is a failure. With `SCREENSHOTS=folder` it keeps a picture of each view.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod pipe;

use std::{env, fs, io::Write, path::Path, process::Command};

use flate2::{Compression, write::GzEncoder};
use pipe::Browser;
use serde::Serialize;
use serde_json::{Value, json};
use what_if::{
    key::KeyBy,
    limit::{Limit, Per, Rate},
    log::Log,
    made_up::{made_up, made_up_log},
    reader::Reader,
    replay::decisions,
    report::{Headline, Report},
    storm::{Breaker, Storm},
};

/// The page, if it can be built here.
fn page() -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
    let output = Command::new(folder.join("build")).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    if complaint.contains("missing:") {
        return None;
    }
    assert!(output.status.success(), "the page does not build: {complaint}");
    let path = fs::canonicalize(String::from_utf8(output.stdout).unwrap().trim()).unwrap();
    Some(format!("file://{}", path.display()))
}

/// Says what is missing; where CI runs nothing may be.
fn skip(what: &str) {
    println!("skipped: {what} is missing");
    assert_ne!(env::var("CI").as_deref(), Ok("true"), "CI installs {what}");
}

fn log_of(text: &str, by: &KeyBy) -> Log {
    let mut reader = Reader::new(by.clone(), usize::MAX);
    reader.push(text.as_bytes());
    reader.finish()
}

const fn limit(count: u32, per: Per, burst: u32) -> Limit {
    Limit { rate: Rate { count, per }, burst }
}

/// JSON in which whole numbers have no fraction, whatever they are here.
fn as_a_script_has_it(told: impl Serialize) -> Value {
    fn whole(value: &mut Value) {
        match value {
            Value::Array(values) => values.iter_mut().for_each(whole),
            Value::Object(fields) => fields.values_mut().for_each(whole),
            Value::Number(number) => match number.as_f64() {
                Some(float) if float.fract() == 0.0 && number.is_f64() => *value = json!(float as u64),
                _ => (),
            },
            Value::Bool(_) | Value::Null | Value::String(_) => (),
        }
    }
    // By way of its text, in which a number is read as the page's is.
    let mut told = serde_json::from_str(&serde_json::to_string(&told).unwrap()).unwrap();
    whole(&mut told);
    told
}

/// The page shows what this computer says of the log, and decides each request as it does.
fn check(browser: &mut Browser, log: &Log, by: &KeyBy, limit: Limit) {
    let shown = browser.text("sentence");
    assert_eq!(shown, Headline::of(log, by, limit).sentence);
    let report = Report::of(log, by, limit);
    assert_eq!(browser.text("rust"), report.rust());
    assert_eq!(browser.text("settings"), report.settings());
    let mut at = |name: &str| browser.json(&format!("told.{name}"));
    let (sweep, least, tables, headline) = (at("sweep"), at("least"), at("tables"), at("headline"));
    assert_eq!(sweep, as_a_script_has_it(&report.sweep));
    assert_eq!(least, as_a_script_has_it(report.least));
    assert_eq!(headline, as_a_script_has_it(&report.headline));
    // Who has to leave a full table may differ between 32 and 64 bits.
    assert_eq!(tables["most_in_use"], as_a_script_has_it(report.tables.most_in_use));

    let told = browser.json(r#"ask({ask: "decisions", limit: limitNow()})"#);
    let here = |requests| {
        let digits = decisions(requests, &limit.quota()).into_iter().map(|allowed| if allowed { '1' } else { '0' });
        digits.collect::<String>()
    };
    assert!(told["at_start"] == here(&log.at_start), "a decision at the start of its second differs");
    let spread = log.spread.as_deref().map(here);
    assert!(told["spread"] == json!(spread), "a decision within its second differs");
}

/// Changes a field as a person does, and waits for the answer.
fn set(browser: &mut Browser, field: &str, value: &str) {
    let before = browser.json("turn").as_u64().unwrap();
    browser.json(&format!(
        r#"{{ const field = document.getElementById("{field}"); field.value = "{value}";
              field.dispatchEvent(new Event("input", {{bubbles: true}})); field.dispatchEvent(new Event("change", {{bubbles: true}})); }}"#
    ));
    browser.until(&format!("Number(document.documentElement.dataset.ready) > {before}"));
}

fn choose(browser: &mut Browser, path: &Path) {
    let before = browser.json("turn").as_u64().unwrap();
    browser.choose("#files", path);
    browser.until(&format!("Number(document.documentElement.dataset.ready) > {before}"));
}

/// A view, wide and narrow, and in the dark: nothing may be wider than the window. Keeps a picture of the wide one.
fn pictures(browser: &mut Browser, view: &str) {
    for (width, dark, keep) in [(1_000, false, true), (1_000, true, false), (390, false, false)] {
        let before = browser.json("document.querySelectorAll('svg').length");
        browser.size(width, dark);
        // Pictures are drawn anew a tenth of a second after the window has changed.
        browser.until(
            "[...document.querySelectorAll('svg')].every(svg => Math.abs(svg.viewBox.baseVal.width - Math.max(280, svg.parentNode.clientWidth)) < 1 || !svg.parentNode.clientWidth)",
        );
        assert_eq!(browser.json("document.querySelectorAll('svg').length"), before);
        let wide = browser.json("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(wide <= width, "{view} is {wide} wide on {width}");
        if let (true, Some(folder)) = (keep, env::var_os("SCREENSHOTS")) {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(format!("{view}.png"));
            fs::write(file, browser.picture()).unwrap();
        }
    }
    browser.size(1_000, false);
}

#[test]
fn the_page_decides_as_this_computer_does() {
    let Some(page) = page() else { return skip("what builds for wasm32-unknown-unknown") };
    let Some(mut browser) = Browser::open(&page) else { return skip("chromium") };
    browser.until("document.documentElement.dataset.ready");

    // The made-up traffic, which is there at once.
    let (log, by) = (made_up_log(1), KeyBy::User);
    check(&mut browser, &log, &by, limit(5, Per::Second, 10));
    set(&mut browser, "count", "2");
    check(&mut browser, &log, &by, limit(2, Per::Second, 10));
    set(&mut browser, "burst", "25");
    set(&mut browser, "per", "minute");
    check(&mut browser, &log, &by, limit(2, Per::Minute, 25));
    set(&mut browser, "per", "hour");
    check(&mut browser, &log, &by, limit(2, Per::Hour, 25));

    // A log of whole seconds with a line that is cut off, packed.
    let folder = tempfile::tempdir().unwrap();
    let text = concat!(include_str!("../access.log"), "203.0.113.1 - - [02/Jan/2006:15:0");
    let packed = folder.path().join("access.log.gz");
    let mut gzip = GzEncoder::new(fs::File::create(&packed).unwrap(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap();
    choose(&mut browser, &packed);
    set(&mut browser, "per", "second");
    set(&mut browser, "count", "5");
    set(&mut browser, "burst", "10");
    check(&mut browser, &log_of(text, &KeyBy::ADDRESS), &KeyBy::ADDRESS, limit(5, Per::Second, 10));
    assert!(browser.text("notes").contains("1 line was not read"), "{}", browser.text("notes"));
    set(&mut browser, "by", "path");
    check(&mut browser, &log_of(text, &KeyBy::Path), &KeyBy::Path, limit(5, Per::Second, 10));

    // Another one, of several pieces and with many keys.
    set(&mut browser, "by", "address");
    let many: String = (0..6).map(|_| made_up(7)).collect();
    let plain = folder.path().join("many.csv");
    fs::write(&plain, &many).unwrap();
    choose(&mut browser, &plain);
    check(&mut browser, &log_of(&many, &KeyBy::ADDRESS), &KeyBy::ADDRESS, limit(5, Per::Second, 10));

    // A file that is no log.
    let nothing = folder.path().join("nothing.txt");
    fs::write(&nothing, "nothing\nof use\n").unwrap();
    choose(&mut browser, &nothing);
    assert_eq!(browser.text("sentence"), "None of 2 lines is a request.");

    browser.json("document.getElementById('made-up').click()");
    browser.until("document.documentElement.dataset.ready && told.headline.clients > 60");
    pictures(&mut browser, "limits");

    // The other tab, by keyboard alone.
    browser.json("document.getElementById('tab-limits').focus()");
    browser.key("ArrowRight");
    assert_eq!(browser.json("document.getElementById('failures').hidden"), json!(false));
    let drawn: Vec<u8> = (0..60).map(|second| if (15..35).contains(&second) { 100 } else { 0 }).collect();
    let storm = Storm {
        failing: drawn.clone(),
        calls: 50,
        bears: 80,
        retries: 5,
        budget: Some(10),
        breaker: Some(Breaker { failures: 50, open: 5 }),
    };
    let told = browser.json(&format!(r#"ask({{ask: "storm", storm: {}, seed: 1}})"#, json!(storm)));
    let played = storm.play(1);
    assert_eq!(told, as_a_script_has_it(&played));
    let spared = format!("it spares the upstream {} attempts", played.sum.spared);
    assert!(browser.text("storms").replace(',', "").contains(&spared), "{}", browser.text("storms"));
    browser.json("document.getElementById('drawing').focus()");
    browser.key("ArrowDown");
    assert_eq!(browser.text("drawing-told"), "Second 15: 90 % fail.");
    browser.key("ArrowUp");
    pictures(&mut browser, "failures");

    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
    // It cannot send anything, if it wanted to.
    let sent = browser.json("fetch('http://127.0.0.1:9/').then(() => 'sent', error => error.name)");
    assert_eq!(sent, Value::from("TypeError"));
    assert!(browser.complaints().iter().any(|complaint| complaint.contains("Content Security Policy")));
    assert_eq!(browser.requests(), [page]);
}

#[test]
fn the_commands_page_shows_its_report_and_runs_nothing_of_the_logs() {
    let folder = tempfile::tempdir().unwrap();
    let (log, page) = (folder.path().join("log.csv"), folder.path().join("report.html"));
    let bad = "</script><script>document.title='run'</script>";
    fs::write(&log, format!("1.0,{bad}\n1.1,{bad}\n{bad}\n")).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_what-if")).arg(&log).args(["--per-second=1", "--html"]).arg(&page).output();
    assert!(output.unwrap().status.success());
    let Some(mut browser) = Browser::open(&format!("file://{}", page.display())) else { return skip("chromium") };
    browser.until("document.documentElement.dataset.ready");
    let told = browser.text("sentence");
    assert!(told.starts_with("1 a second, burst 1: 1 of 2 requests denied (50.0 %), 1 of 1 clients hit"), "{told}");
    assert!(browser.text("hit").contains(bad) && browser.text("notes").contains(bad));
    assert_ne!(browser.json("document.title"), json!("run"));
    assert_eq!(browser.json("document.getElementById('ask').hidden"), json!(true));
    assert!(browser.complaints().is_empty(), "{:#?}", browser.complaints());
}

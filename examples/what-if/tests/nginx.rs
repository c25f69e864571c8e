//! nginx's own dry run of its own limiter, on the same requests, as an oracle that knows nothing of this one.
//!
//! It needs nginx (Debian's `nginx-light`), and is skipped where it is missing; with `CI=true` that is a failure.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test fails by panicking"
)]
#![cfg(unix)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use what_if::{
    key::KeyBy,
    limit::{Limit, Per, Rate},
    log::Log,
    reader::Reader,
    replay::decisions,
};

/// `nodelay` allows one at once, and `burst` more.
const LIMIT: Limit = Limit { rate: Rate { count: 50, per: Per::Second }, burst: 6 };
const SETTINGS: &str = r#"
daemon off;
worker_processes 1;
pid FOLDER/pid;
error_log FOLDER/error.log;
events {}
http {
  log_format told '$remote_addr - $arg_key [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
    '"$http_user_agent" msec=$msec rt=$request_time limit=$limit_req_status';
  access_log FOLDER/access.log told;
  limit_req_zone $arg_key zone=keys:1m rate=50r/s;
  limit_req_dry_run on;
  keepalive_requests 1000000;
  client_body_temp_path FOLDER/body;
  proxy_temp_path FOLDER/proxy;
  fastcgi_temp_path FOLDER/fastcgi;
  uwsgi_temp_path FOLDER/uwsgi;
  scgi_temp_path FOLDER/scgi;
  server {
    listen unix:FOLDER/socket;
    root FOLDER;
    limit_req zone=keys burst=5 nodelay;
  }
}
"#;

fn nginx(folder: &Path, more: &[&str]) -> Option<Child> {
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).args(more).stderr(Stdio::null());
    command.spawn().ok()
}

/// How many keys there are.
const KEYS: usize = 64;

/// Thousands of requests, one after the other: half of each key in turn, half of any.
fn load(folder: &Path, server: &mut Child) {
    let socket = folder.join("socket");
    let mut stream = loop {
        if let Ok(stream) = UnixStream::connect(&socket) {
            break stream;
        }
        let ended = server.try_wait().unwrap();
        assert!(ended.is_none(), "{}", fs::read_to_string(folder.join("error.log")).unwrap_or_default());
        thread::sleep(Duration::from_millis(5)); // another process starts: there is no time to pass
    };
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let mut random = 1_u32;
    for request in 0..4_000 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let key = if random >> 31 == 0 { random >> 20 } else { request / 100 } % KEYS as u32;
        write!(stream, "GET /empty?key={key} HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(answers.read_line(&mut line).unwrap() > 0, "nginx has hung up");
        }
    }
}

fn read(text: &[u8], by: KeyBy) -> Log {
    let mut reader = Reader::new(by, usize::MAX);
    reader.push(text);
    reader.finish()
}

#[test]
fn nginx_says_the_same_but_for_a_millisecond() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("nginx.conf"), SETTINGS.replace("FOLDER", path.to_str().unwrap())).unwrap();
    fs::write(path.join("empty"), "").unwrap();
    // Its workers are somebody else if it is started by root.
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let Some(mut server) = nginx(path, &[]) else {
        println!("skipped: nginx is missing");
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "CI installs nginx");
        return;
    };
    load(path, &mut server);
    // It ends when all is written.
    nginx(path, &["-s", "quit"]).unwrap().wait().unwrap();
    server.wait().unwrap();

    let text = fs::read(path.join("access.log")).unwrap();
    let log = read(&text, KeyBy::User);
    assert_eq!((log.counts.requests, log.counts.unread(), log.keys.len()), (4_000, 0, KEYS));
    // The same lines in the same order, with what nginx said in the place of the key.
    let oracle = read(&text, KeyBy::Field(String::from("limit")));
    let ours = decisions(&log.at_start, &LIMIT.quota());

    // nginx counts whole milliseconds of a monotonic clock, and logs those of the wall clock: one more or one less may have
    // passed, where a request takes 20 from the quota. So one may let a request pass in the place of its neighbour, a tenth
    // of a millisecond away, but never is it more than one ahead.
    let mut ahead = [0_i32; KEYS];
    let (mut denied, mut others) = (0, 0);
    for ((request, theirs), ours) in log.at_start.iter().zip(&oracle.at_start).zip(ours) {
        let theirs = match oracle.key(theirs.key()) {
            "PASSED" => true,
            "REJECTED_DRY_RUN" => false,
            other => unreachable!("{other}"),
        };
        denied += i32::from(!theirs);
        others += i32::from(ours != theirs);
        let ahead = &mut ahead[request.key()];
        *ahead += i32::from(ours) - i32::from(theirs);
        assert!(ahead.abs() <= 1, "{ahead} ahead at {:?}", request.at());
    }
    println!("{denied} of 4000 denied by nginx, {others} single requests decided otherwise");
    assert!((100..3_900).contains(&denied), "{denied} denied: there was nothing to compare");
}

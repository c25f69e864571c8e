//! A headless Chromium, by its debugging pipe: JSON that ends with a zero byte, from descriptor 3 and to descriptor 4.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Seconds after which a browser is killed in any case, and with it a test that waits for it.
const LONGEST: &str = "280";
const FLAGS: &str = "--headless --remote-debugging-pipe --no-sandbox --disable-gpu --disable-quic --no-first-run \
                     --disable-background-networking --disable-component-update --disable-sync --hide-scrollbars";

pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: BufReader<ChildStdout>,
    session: Option<String>,
    last: u64,
    /// What came that was no answer.
    events: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// Opens a page; `None` if there is no Chromium.
    pub(crate) fn open(page: &str) -> Option<Self> {
        let found = |name: &&str| {
            let found = Command::new("sh").args(["-c", "command -v \"$0\"", name]).stdout(Stdio::null()).status();
            found.is_ok_and(|status| status.success())
        };
        let chromium = ["chromium-headless-shell", "chromium"].into_iter().find(found)?;
        let profile = tempfile::tempdir().unwrap();
        let script = format!(
            r#"exec timeout {LONGEST} {chromium} {FLAGS} --user-data-dir="$0" about:blank 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null"#
        );
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (commands, messages) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let events = Vec::new();
        let mut browser = Self { child, commands, messages, session: None, last: 0, events, _profile: profile };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(String::from);
        for domain in ["Page", "Runtime", "Log", "Network", "DOM"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser.size(1_000, false);
        browser.events.clear(); // those of the empty page
        browser.call("Page.navigate", &json!({"url": page}));
        while !browser.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = browser.read();
            browser.events.push(event);
        }
        Some(browser)
    }

    fn read(&mut self) -> Value {
        let mut message = Vec::new();
        self.messages.read_until(0, &mut message).unwrap();
        message.pop().expect("the browser has ended");
        serde_json::from_slice(&message).unwrap()
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            command["sessionId"] = session.as_str().into();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let mut message = self.read();
            if message["id"] == self.last {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    /// The value of an expression in the page.
    pub(crate) fn json(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut told = self.call("Runtime.evaluate", &parameters);
        assert!(told.get("exceptionDetails").is_none(), "{expression}: {told}");
        told["result"]["value"].take()
    }

    /// The text of an element.
    pub(crate) fn text(&mut self, id: &str) -> String {
        let text = self.json(&format!("document.getElementById('{id}').textContent"));
        String::from(text.as_str().expect("a text"))
    }

    /// Waits until an expression is true; the browser itself does not live for ever.
    pub(crate) fn until(&mut self, expression: &str) {
        let since = Instant::now();
        while self.json(&format!("Boolean({expression})")) != json!(true) {
            let shown = self.json("document.getElementById('error')?.textContent ?? ''");
            assert_eq!(shown, "", "after {:?}", since.elapsed());
            thread::sleep(Duration::from_millis(20)); // another process decides when it is done
        }
    }

    /// Has a file chosen.
    pub(crate) fn choose(&mut self, selector: &str, path: &Path) {
        let root = self.call("DOM.getDocument", &json!({}))["root"]["nodeId"].clone();
        let node = self.call("DOM.querySelector", &json!({"nodeId": root, "selector": selector}))["nodeId"].clone();
        self.call("DOM.setFileInputFiles", &json!({"nodeId": node, "files": [path]}));
    }

    /// Presses a key.
    pub(crate) fn key(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", &json!({"type": kind, "key": key, "code": key}));
        }
    }

    /// Another width of the window, in light or in the dark.
    pub(crate) fn size(&mut self, width: u64, dark: bool) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if dark { "dark" } else { "light" };
        let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &scheme);
    }

    /// A picture of the whole page.
    pub(crate) fn picture(&mut self) -> Vec<u8> {
        let told = self.call("Page.captureScreenshot", &json!({"captureBeyondViewport": true}));
        BASE64_STANDARD.decode(told["data"].as_str().unwrap()).unwrap()
    }

    /// What the console complained of.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let wrong = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => event["params"]["type"] == "error",
            Some("Log.entryAdded") => event["params"]["entry"]["level"] == "error",
            _ => false,
        };
        self.events.iter().filter(wrong).map(Value::to_string).collect()
    }

    /// The addresses of all that was asked for.
    pub(crate) fn requests(&self) -> Vec<String> {
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.filter_map(|event| event["params"]["request"]["url"].as_str().map(String::from)).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its children end with it; killing `timeout` would leave them.
        let close = json!({"id": 0, "method": "Browser.close"});
        let _ = self.commands.write_all(format!("{close}\0").as_bytes());
        let _ = self.child.wait();
    }
}

//! Chromium without a window, and the few words of its DevTools protocol that a test needs.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::protocol::WebSocket;
use tungstenite::{Error, Message};

use crate::harness::{Dir, LIMIT, Process, wait_until};

/// Where a browser is looked for.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).flat_map(|folder| NAMES.map(|name| folder.join(name))).find(|file| file.is_file())
}

/// A browser with one page. Ends with its test.
pub struct Browser {
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    next_id: u64,
    /// What the page's scripts have complained about: uncaught exceptions, errors and warnings on the console, and what
    /// the content security policy refused. Connections that fail are no complaint: tests end gateways.
    pub complaints: Vec<String>,
    /// Every address that the page has asked for, WebSockets included.
    pub requests: Vec<String>,
    _process: Process,
}

impl Browser {
    /// Starts one, or says loudly that there is none.
    pub fn start(dir: &Dir) -> Option<Browser> {
        let Some(program) = find() else {
            // Not by a macro: the runner hides what passing tests print with one, and a skip must be seen.
            let message = format!("\nSKIPPED (no chromium): the page is not tested; looked for {NAMES:?} in PATH\n");
            let _ = std::io::stderr().write_all(message.as_bytes());
            return None;
        };
        let profile = dir.path("chromium");
        let mut command = Command::new(program);
        // Containers let nobody make name spaces, so there is no sandbox; what is loaded is ours.
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        command.args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--log-level=3",
        ]);
        command.arg("--remote-debugging-port=0").arg(format!("--user-data-dir={}", profile.display()));
        command.arg("about:blank").stdout(Stdio::null());
        let process = Process::start("chromium", command, dir.path("chromium.log"));
        // Two lines, once it listens: the port, and the path of the browser's own WebSocket.
        let mut door = None;
        wait_until("the browser to listen", || {
            let text = std::fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
            door = text.split_once('\n').map(|(port, path)| (port.to_string(), path.trim().to_string()));
            door.as_ref().is_some_and(|(_, path)| !path.is_empty())
        });
        let (port, path) = door.unwrap();
        let stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let (socket, _) = tungstenite::client::client(format!("ws://127.0.0.1:{port}{path}"), stream).unwrap();
        let (complaints, requests) = (Vec::new(), Vec::new());
        let mut browser = Browser { socket, session: None, next_id: 0, complaints, requests, _process: process };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attached = browser.call("Target.attachToTarget", &json!({"targetId": target["targetId"], "flatten": true}));
        browser.session = Some(attached["sessionId"].as_str().unwrap().into());
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            browser.call(domain, &json!({}));
        }
        Some(browser)
    }

    /// One command and its result.
    pub fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut command = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(command.to_string())).unwrap();
        loop {
            let message = match self.socket.read() {
                Ok(Message::Text(text)) => serde_json::from_str::<Value>(&text).unwrap(),
                Ok(_) => continue,
                Err(Error::Io(error)) => panic!("the browser does not answer {method}: {error}"),
                Err(error) => panic!("{method}: {error}"),
            };
            if message["id"] == json!(id) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.take_event(&message);
        }
    }

    fn take_event(&mut self, message: &Value) {
        let event = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => self.requests.push(text(&event["request"]["url"])),
            "Network.webSocketCreated" => self.requests.push(text(&event["url"])),
            "Runtime.exceptionThrown" => self.complaints.push(event["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" if ["error", "warning", "assert"].contains(&event["type"].as_str().unwrap()) => {
                self.complaints.push(event["args"].to_string());
            }
            "Log.entryAdded" => {
                let (entry, source) = (&event["entry"], event["entry"]["source"].as_str().unwrap());
                let text = text(&entry["text"]);
                let connection = source == "network" || text.starts_with("WebSocket connection to ");
                if !connection && ["error", "warning"].contains(&entry["level"].as_str().unwrap()) {
                    self.complaints.push(text);
                }
            }
            _ => {}
        }
    }

    /// Opens an address.
    pub fn open(&mut self, url: &str) {
        let result = self.call("Page.navigate", &json!({"url": url}));
        assert!(result["errorText"].is_null(), "{url}: {}", result["errorText"]);
    }

    /// Value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        self.try_value(expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    fn try_value(&mut self, expression: &str) -> Result<Value, Value> {
        let parameters = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut result = self.call("Runtime.evaluate", &parameters);
        match result["exceptionDetails"].take() {
            Value::Null => Ok(result["result"]["value"].take()),
            exception => Err(exception),
        }
    }

    /// Waits until an expression is true in the page. One that fails is not true yet: a document may still be loading.
    pub fn wait(&mut self, what: &str, expression: &str) {
        let began = Instant::now();
        loop {
            let value = self.try_value(&format!("Boolean({expression})"));
            if value == Ok(json!(true)) {
                return;
            }
            if began.elapsed() > LIMIT {
                let (seen, complaints) = (self.try_value("document.body.innerText"), &self.complaints);
                panic!("waited {LIMIT:?} in vain for {what}: {expression}\n{value:?}\n{complaints:?}\n{seen:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A key, as if pressed: `Enter`, `Escape`, `ArrowDown`.
    pub fn press(&mut self, key: &str) {
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let parameters =
                json!({"type": kind, "key": key, "code": key, "text": if kind == "keyDown" { text } else { "" }});
            self.call("Input.dispatchKeyEvent", &parameters);
        }
    }

    /// Text, as if typed where the focus is.
    pub fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", &json!({"text": text}));
    }

    /// A window of this size; `theme` is what the system prefers, `light` or `dark`.
    pub fn look(&mut self, width: u32, height: u32, theme: &str) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        self.call("Emulation.setEmulatedMedia", &features);
    }

    /// Nothing was complained about, and nothing but `address` was asked for anything.
    pub fn expect_quiet(&self, address: &str) {
        assert_eq!(self.complaints, Vec::<String>::new());
        let ours = ["http", "ws"].map(|scheme| format!("{scheme}://{address}/"));
        let outside: Vec<_> = self.requests.iter().filter(|url| !ours.iter().any(|own| url.starts_with(own))).collect();
        assert!(outside.is_empty(), "asked elsewhere: {outside:?}");
        assert!(self.requests.iter().any(|url| url.starts_with(&ours[1])), "no WebSocket was opened: nothing was seen");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}

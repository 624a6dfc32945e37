//! A real Chromium without a window, driven over its DevTools protocol: the few commands that are
//! needed here.

use crate::PATIENCE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// As root in a container, without a screen, and quiet on the network.
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
];

/// A browser with a profile of its own, which dies with this value.
pub(crate) struct Browser {
    process: Child,
    profile: PathBuf,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    sent: u64,
}

/// A tab.
#[derive(Clone, Debug)]
pub(crate) struct Tab {
    target: String,
    session: String,
}

impl Browser {
    pub(crate) async fn start() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("headwater-chromium-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let profile = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&profile).expect("a directory for the profile");
        let mut process = Command::new("chromium")
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is no chromium: run ./scripts/test, which brings it");
        let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let url = lines.find_map(|line| {
            line.ok()?.strip_prefix("DevTools listening on ").map(|url| url.trim().to_owned())
        });
        // What else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let url = url.expect("chromium says where it listens");
        let (socket, _) = connect_async(url).await.expect("it listens there");
        Self { process, profile, socket, sent: 0 }
    }

    /// Opens a page in a tab that remembers nothing of other tabs, as if it were another browser's.
    pub(crate) async fn open(&mut self, url: &str) -> Tab {
        let context = self.ask(None, "Target.createBrowserContext", json!({})).await;
        let asked = json!({ "url": url, "browserContextId": context["browserContextId"] });
        let target = text(&self.ask(None, "Target.createTarget", asked).await["targetId"]);
        let asked = json!({ "targetId": target, "flatten": true });
        let session = text(&self.ask(None, "Target.attachToTarget", asked).await["sessionId"]);
        let tab = Tab { target, session };
        self.until(&tab, "document.readyState === 'complete' && location.protocol === 'http:'")
            .await;
        tab
    }

    pub(crate) async fn close(&mut self, tab: Tab) {
        self.ask(None, "Target.closeTarget", json!({ "targetId": tab.target })).await;
    }

    /// Loads a tab's page again.
    pub(crate) async fn reload(&mut self, tab: &Tab) {
        self.ask(Some(tab), "Page.reload", json!({})).await;
    }

    /// What an expression of JavaScript gives; a promise is waited for.
    pub(crate) async fn eval(&mut self, tab: &Tab, expression: &str) -> Value {
        let value = self.try_eval(tab, expression).await;
        value.unwrap_or_else(|fault| panic!("{expression}: {fault}"))
    }

    async fn try_eval(&mut self, tab: &Tab, expression: &str) -> Result<Value, Value> {
        let asked = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let mut answer = self.try_ask(Some(tab), "Runtime.evaluate", asked).await?;
        let fault = answer["exceptionDetails"].take();
        if fault.is_null() { Ok(answer["result"]["value"].take()) } else { Err(fault) }
    }

    /// Waits until a condition holds on a page; also on the next page, if the tab is on its way there.
    pub(crate) async fn until(&mut self, tab: &Tab, condition: &str) {
        let wait = format!(
            "new Promise((done) => {{
                const look = () => ({condition}) ? done(true) : setTimeout(look, 20);
                look();
            }})"
        );
        let mut fault = Value::Null;
        let held = async {
            while let Err(new) = self.try_eval(tab, &wait).await {
                fault = new;
            }
        };
        if tokio::time::timeout(PATIENCE, held).await.is_err() {
            let seen = self.eval(tab, "document.body.innerText").await;
            panic!("it never came to this: {condition}\nThe page: {seen}\n{fault}");
        }
    }

    /// Clicks on what a selector finds.
    pub(crate) async fn click(&mut self, tab: &Tab, selector: &str) {
        self.eval(tab, &format!("document.querySelector({}).click()", json!(selector))).await;
    }

    /// Enters text or a choice.
    pub(crate) async fn enter(&mut self, tab: &Tab, selector: &str, value: &str) {
        let (selector, value) = (json!(selector), json!(value));
        self.eval(tab, &format!("document.querySelector({selector}).value = {value}")).await;
    }

    /// Gives a tab a screen of a size, dark or light.
    pub(crate) async fn screen(&mut self, tab: &Tab, width: u32, height: u32, is_dark: bool) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.ask(Some(tab), "Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.ask(Some(tab), "Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// A picture of what a tab shows, as PNG.
    pub(crate) async fn picture(&mut self, tab: &Tab) -> Vec<u8> {
        let picture = self.ask(Some(tab), "Page.captureScreenshot", json!({})).await;
        STANDARD.decode(text(&picture["data"])).expect("it is base64")
    }

    async fn ask(&mut self, tab: Option<&Tab>, method: &str, parameters: Value) -> Value {
        let answer = self.try_ask(tab, method, parameters).await;
        answer.unwrap_or_else(|fault| panic!("{method}: {fault}"))
    }

    async fn try_ask(
        &mut self,
        tab: Option<&Tab>,
        method: &str,
        parameters: Value,
    ) -> Result<Value, Value> {
        self.sent += 1;
        let mut request = json!({ "id": self.sent, "method": method, "params": parameters });
        if let Some(tab) = tab {
            request["sessionId"] = json!(tab.session);
        }
        self.socket.send(Message::text(request.to_string())).await.expect("it listens");
        loop {
            let message = self.socket.next().await.expect("it goes on").expect("it goes on");
            let Ok(text) = message.to_text() else { continue };
            let Ok(mut answer) = serde_json::from_str::<Value>(text) else { continue };
            // Others are events, and answers to what was given up.
            if answer["id"] == json!(self.sent) {
                let fault = answer["error"].take();
                return if fault.is_null() { Ok(answer["result"].take()) } else { Err(fault) };
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

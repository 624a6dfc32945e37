//! The WebSocket, as it is used by who does not keep to the rules.

use crate::PATIENCE;
use crate::instance::Instance;
use futures_util::{SinkExt, StreamExt};
use headwater_servers::Server;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async, connect_async};

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn enter(instance: &Instance) -> Self {
        let (socket, _) = connect_async(instance.socket()).await.expect("it listens");
        let mut client = Self(socket);
        assert_eq!(client.hear("welcome").await["beat_ms"], 10_000);
        client
    }

    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("it listens");
    }

    async fn join(&mut self, name: &str) {
        self.say(&json!({ "type": "join", "name": name, "device": "phone" }).to_string()).await;
    }

    async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.0.next()).await;
        next.expect("it says something").expect("it goes on").expect("it goes on")
    }

    /// The next message of a type.
    async fn hear(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            let message: Value =
                serde_json::from_str(message.to_text().expect("text")).expect("JSON");
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// The code of the closing frame.
    async fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.next().await {
                return frame.expect("it says why").code.into();
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_understood_is_answered_with_an_error() {
    let instance = Instance::start("alone", &[]);
    let mut client = Client::enter(&instance).await;
    let long = format!(r#"{{"type":"join","name":"{}","device":"phone"}}"#, "a".repeat(2_000));
    for (said, answer) in [
        ("{", "not understood"),
        (r#"{"type":"dance"}"#, "not understood"),
        (r#"{"type":"join","name":"Ada","device":"toaster"}"#, "not understood"),
        (r#"{"type":"join","name":"  ","device":"phone"}"#, "may not be empty"),
        (r#"{"type":"join","name":"a\u0007","device":"phone"}"#, "control characters"),
        (r#"{"type":"leave"}"#, "you are not here"),
        (&long, "1024 bytes"),
    ] {
        client.say(said).await;
        let error = client.hear("error").await;
        assert!(error["message"].as_str().is_some_and(|text| text.contains(answer)), "{error}");
    }
    // It was of no harm: whoever comes to reason may come in.
    client.join("Ada").await;
    assert!(client.hear("you").await["connection"].is_string());
    client.join("Ada").await;
    assert_eq!(client.hear("error").await["message"], "you are here already");
    assert_eq!(client.close_code().await, 1008, "that was the eighth mistake");
}

#[tokio::test]
async fn what_is_far_too_long_ends_the_visit() {
    let instance = Instance::start("alone", &[]);
    let mut client = Client::enter(&instance).await;
    client.say(&"a".repeat(100_000)).await;
    assert_eq!(client.close_code().await, 1009);
    Client::enter(&instance).await;
}

#[tokio::test]
async fn who_is_away_and_who_leaves_is_told_to_all() {
    let instance = Instance::start("alone", &["--linger", "0s"]);
    let (mut ada, mut bob) = (Client::enter(&instance).await, Client::enter(&instance).await);
    bob.hear("snapshot").await;
    ada.join(" Ada ").await;
    assert_eq!(bob.hear("online").await["name"], "Ada", "as it is without the spaces");
    let joined = bob.hear("join").await;
    assert_eq!((&joined["device"], &joined["away"]), (&json!("phone"), &json!(false)));
    ada.say(r#"{"type":"away","away":true}"#).await;
    assert_eq!(bob.hear("update").await["away"], true);
    ada.say(r#"{"type":"leave"}"#).await;
    assert_eq!(bob.hear("leave").await["connection"], joined["connection"]);
    bob.hear("offline").await;
    assert!(ada.hear("you").await["connection"].is_string(), "by its join");
    assert!(ada.hear("you").await["connection"].is_null(), "by its leave");
}

#[tokio::test]
async fn an_instance_that_is_told_to_end_has_its_guests_leave_and_says_so() {
    let redis = Server::start();
    let long = ["--ttl", "1h", "--linger", "1h"];
    let mut east = Instance::sharing(&redis, "east", &long);
    let west = Instance::sharing(&redis, "west", &long);
    let (mut ada, mut bob) = (Client::enter(&east).await, Client::enter(&west).await);
    bob.hear("snapshot").await;
    ada.join("Ada").await;
    bob.hear("join").await;
    assert!(east.end().success());
    assert_eq!(ada.close_code().await, 1012);
    assert_eq!(bob.hear("leave").await["name"], "Ada", "at once, and without an expiry");
}

#[tokio::test]
async fn a_page_that_takes_nothing_gets_a_fresh_snapshot_later() {
    // A long name, so that few events are many bytes.
    let instance = Instance::start(&"long".repeat(2_000), &[]);
    let mut ada = Client::enter(&instance).await;
    ada.join("Ada").await;
    // A small window, so that what waits for it is soon at the server.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a setting of the socket");
    let address = instance.url.strip_prefix("http://").expect("a URL").parse();
    let stream = socket.connect(address.expect("an address")).await.expect("it listens");
    let stream = MaybeTlsStream::Plain(stream);
    let (socket, _) = client_async(instance.socket(), stream).await.expect("it listens");
    let mut slow = Client(socket);
    slow.hear("snapshot").await;
    // More than the system's buffers and those of the server hold together.
    let (mut says, mut hears) = ada.0.split();
    let listens = tokio::spawn(async move {
        while let Some(Ok(message)) = hears.next().await {
            if message.to_text().is_ok_and(|text| text.contains("not understood")) {
                break;
            }
        }
        hears
    });
    for round in 0..2_500 {
        let message = json!({ "type": "away", "away": round % 2 == 0 }).to_string();
        says.send(Message::text(message)).await.expect("it listens");
    }
    // Answered in turn: by then all that was said before is done.
    says.send(Message::text("{")).await.expect("it listens");
    let _stays = listens.await.expect("it ends");
    loop {
        let snapshot = slow.hear("snapshot").await;
        if snapshot["reason"] == "lagged" {
            assert_eq!(snapshot["members"][0]["name"], "Ada");
            break;
        }
    }
}

#[tokio::test]
async fn a_store_that_is_not_there_is_said_at_the_start() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_headwater-presence-example"))
        .args(["--port", "0", "--redis", "redis://127.0.0.1:1"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.starts_with("error: --redis: "), "{said}");
}

#[tokio::test]
async fn the_page_comes_from_the_program_and_loads_nothing_else() {
    let instance = Instance::start("alone", &[]);
    let address = instance.url.strip_prefix("http://").expect("a URL");
    for (path, kind) in [("/", "text/html"), ("/style.css", "text/css"), ("/main.js", "javascript")]
    {
        let answer = get(address, path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let policy = "content-security-policy: default-src 'none'";
        assert!(answer.contains(policy) && answer.contains(kind), "{answer}");
        let elsewhere = answer.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{path}");
    }
    assert!(get(address, "/other").await.starts_with("HTTP/1.1 404"));
}

async fn get(address: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers");
    answer
}

//! Peers that are no Redis: silent ones, foreign ones, and a proxy whose connections go silent.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Listens and gives each connection to `serve` in a thread of its own; returns its URL. The
/// connections stay open.
pub(crate) fn listener(serve: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            kept.push(stream.try_clone());
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(&mut stream));
        }
    });
    format!("redis://127.0.0.1:{port}")
}

/// Forwards to a server; connections can be made to go silent, while new ones work.
pub(crate) struct Proxy {
    url: String,
    made: Arc<AtomicUsize>,
    /// Connections before this one are silent.
    muted: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) fn to(port: u16) -> Self {
        let (made, muted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, mute) = (Arc::clone(&made), Arc::clone(&muted));
        let url = listener(move |client| {
            let number = count.fetch_add(1, SeqCst);
            let server = TcpStream::connect(("127.0.0.1", port)).expect("the server is there");
            let back =
                (server.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
            let mute_back = Arc::clone(&mute);
            std::thread::spawn(move || forward(back.0, back.1, number, &mute_back));
            forward(client.try_clone().expect("a handle"), server, number, &mute);
        });
        Self { url, made, muted }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Has all present connections go silent: what comes is read, and forgotten.
    pub(crate) fn mute_present(&self) {
        self.muted.store(self.made.load(SeqCst), SeqCst);
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, number: usize, muted: &AtomicUsize) {
    let mut bytes = [0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if muted.load(SeqCst) <= number && to.write_all(&bytes[..length]).is_err() {
            return;
        }
    }
}

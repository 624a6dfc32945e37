use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

/// Forwards to a port; connections can be cut, or made to go silent, while new ones work.
pub(crate) struct Proxy {
    port: u16,
    made: Arc<AtomicUsize>,
    /// Connections before this one are silent.
    muted: Arc<AtomicUsize>,
    /// The clients' ends of all connections so far.
    clients: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (made, muted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, mute) = (Arc::clone(&made), Arc::clone(&muted));
        let clients = Arc::<Mutex<Vec<TcpStream>>>::default();
        let kept = Arc::clone(&clients);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let number = count.fetch_add(1, SeqCst);
                // Dropping the client tells it that nobody is there.
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { continue };
                kept.lock().unwrap_or_else(PoisonError::into_inner).extend(client.try_clone());
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let _ = from.set_nodelay(true);
                    let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
                    let mute = Arc::clone(&mute);
                    std::thread::spawn(move || forward(from, to, number, &mute));
                }
            }
        });
        Self { port, made, muted, clients }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Ends all present connections.
    pub(crate) fn cut_present(&self) {
        for client in self.clients.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It may have ended by itself.
            let _ = client.shutdown(Shutdown::Both);
        }
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
            break;
        }
    }
    // Also a silent connection ends when either side does.
    let _ = to.shutdown(Shutdown::Both);
}

use crate::processes::now;
use headwater::presence::{Lock, Locks};
use headwater::redis::RedisConfig;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, stdin};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

const TASKS: u64 = 12;
/// Fewer than there are tasks in all processes, so that they meet.
const NAMES: u32 = 24;
/// How long a lock lasts.
const TTL: Duration = Duration::from_millis(250);
/// One owner of so many sleeps in between, mostly for longer than that.
const SLEEPERS: u32 = 100;

type History = Rc<RefCell<String>>;

/// One process: takes locks and writes under them until nobody listens any more.
pub(crate) fn child(arguments: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system gives a runtime");
    runtime.block_on(LocalSet::new().run_until(work(arguments)));
}

async fn work(arguments: &[String]) {
    let [url, register, seed, file] = arguments else { panic!("four arguments") };
    let register: u16 = register.parse().expect("a port");
    let seed: u64 = seed.parse().expect("a number");
    let config = RedisConfig::new(url).expect("a URL").namespace("locks");
    let store = config.connect_store_lazy().expect("a valid configuration");
    let locks = Locks::redis(&store).ttl(TTL);
    let history = History::default();
    let mut tasks = Vec::new();
    for number in 0..TASKS {
        // A third has its locks renewed.
        let locks = if number % 3 == 0 { locks.clone().renewed_for(TTL * 4) } else { locks.clone() };
        let random = fastrand::Rng::with_seed(seed * 100 + number);
        tasks.push(tokio::task::spawn_local(own(locks, register, Rc::clone(&history), random)));
    }
    println!("begun");
    // Ends with the pipe.
    let _ = stdin().read_to_end(&mut Vec::new()).await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    std::fs::write(file, &*history.borrow()).expect("a place for the history");
    println!("ended");
}

async fn own(locks: Locks, register: u16, history: History, mut random: fastrand::Rng) {
    let mut register = Register::connect(register).await;
    loop {
        let name = format!("n{}", random.u32(..NAMES));
        let asked = now();
        match locks.try_acquire(&name).await {
            Ok(Some(lock)) => {
                // Writing to a string cannot fail.
                let _ = writeln!(
                    history.borrow_mut(),
                    "t {name} {asked} {} {}",
                    now(),
                    lock.fence()
                );
                change(&mut register, &name, lock, &mut random).await;
            }
            Ok(None) => tokio::time::sleep(Duration::from_micros(random.u64(100..1_000))).await,
            Err(_) => {
                let _ = writeln!(history.borrow_mut(), "f");
                tokio::time::sleep(Duration::from_millis(random.u64(5..50))).await;
            }
        }
    }
}

/// What the lock is for. It is not looked at: what an owner knows may be out of date the moment after.
async fn change(register: &mut Register, name: &str, lock: Lock, random: &mut fastrand::Rng) {
    let token = lock.fence();
    let Some(number) = register.ask(&format!("r {name} {token}\n")).await else { return };
    if random.u32(..SLEEPERS) == 0 {
        tokio::time::sleep(TTL.mul_f64(random.f64() * 4.0)).await;
    }
    register.ask(&format!("w {name} {token} {number}\n")).await;
    // One owner of ten leaves the release to the drop.
    if random.u32(..10) > 0 {
        let _ = lock.release().await;
    }
}

/// A connection to the register.
struct Register(BufReader<TcpStream>);

impl Register {
    async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
        stream.set_nodelay(true).expect("a setting of the socket");
        Self(BufReader::new(stream))
    }

    /// The number, unless it was refused.
    async fn ask(&mut self, line: &str) -> Option<u64> {
        self.0.write_all(line.as_bytes()).await.expect("it listens");
        let mut answer = String::new();
        self.0.read_line(&mut answer).await.expect("it answers");
        answer.trim().parse().ok()
    }
}

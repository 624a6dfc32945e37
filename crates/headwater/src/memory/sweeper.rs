//! Gives memory back where nobody asks for anything any more.
//!
//! One thread for all caches of the process, which is there while one of them holds an entry whose
//! life has an end: a cache needs no runtime, and what is dead must not wait for traffic. Caches with a
//! clock of their own are left out: their time may stand still, and tests want to see who removed what.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::sync::Mutex;

/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(1);

/// What can be swept.
pub(super) trait Sweep: Send + Sync {
    /// Removes what is dead; whether there is more that will be.
    fn sweep(&self) -> bool;
}

/// A cache, and the runtime in which it was given what dies: its listener may want to spawn.
struct Enlisted {
    cache: Weak<dyn Sweep>,
    runtime: Option<Handle>,
}

impl Enlisted {
    /// Whether it has to be swept again.
    fn sweep(&self) -> bool {
        let Some(cache) = self.cache.upgrade() else { return false };
        let _runtime = self.runtime.as_ref().map(Handle::enter);
        // A value's destructor may panic, here or when the last handle goes with this one. That is told as
        // any panic is, and is nothing to the others.
        let sweep = move || {
            let again = cache.sweep();
            drop(cache);
            again
        };
        catch_unwind(AssertUnwindSafe(sweep)).unwrap_or(true)
    }
}

struct Rounds {
    enlisted: Vec<Enlisted>,
    has_thread: bool,
}

static ROUNDS: Mutex<Rounds> = Mutex::new(Rounds { enlisted: Vec::new(), has_thread: false });

/// Has a cache swept about once a second, until it says that nothing is left to die. Where no thread
/// can be had, it is swept by its own traffic only, as it is anyway.
#[cold]
pub(super) fn enlist(cache: Weak<dyn Sweep>) {
    let mut rounds = ROUNDS.lock();
    rounds.enlisted.push(Enlisted { cache, runtime: Handle::try_current().ok() });
    if !rounds.has_thread {
        let thread = thread::Builder::new().name("headwater-expiry".to_owned());
        rounds.has_thread = thread.spawn(make_rounds).is_ok();
    }
}

fn make_rounds() {
    loop {
        thread::sleep(PAUSE);
        let mut enlisted = std::mem::take(&mut ROUNDS.lock().enlisted);
        enlisted.retain(Enlisted::sweep);
        let mut rounds = ROUNDS.lock();
        rounds.enlisted.append(&mut enlisted);
        if rounds.enlisted.is_empty() {
            rounds.has_thread = false;
            return;
        }
    }
}

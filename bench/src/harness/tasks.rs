use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};

/// A runtime of so many threads; of one, the caller's own.
pub(crate) fn runtime(threads: usize) -> Runtime {
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(threads).enable_all().build().expect("the system gives one")
}

/// Runs tasks at once, which make so many operations among them: each is given `world`, the number of
/// its first operation, and how many it makes. Nanoseconds per operation.
pub(crate) fn at_once<W, F, R>(
    runtime: &Runtime,
    world: &Arc<W>,
    tasks: usize,
    operations: usize,
    task: F,
) -> f64
where
    F: Fn(Arc<W>, usize, usize) -> R,
    R: Future<Output = ()> + Send + 'static,
{
    let each = operations / tasks;
    let began = Instant::now();
    runtime.block_on(async {
        let running = (0..tasks).map(|at| tokio::spawn(task(Arc::clone(world), at * each, each)));
        for ended in join_all(running).await {
            ended.expect("operations do not panic");
        }
    });
    began.elapsed().as_nanos() as f64 / (each * tasks) as f64
}

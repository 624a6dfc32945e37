//! Who reads, and how: each over a connection of its own to the same server.

use crate::harness::{Contestant, Record, at_once, runtime};
use futures_util::StreamExt;
use headwater::firestore::FirestoreSource;
use headwater::firestore::client::gcloud_sdk::google_cloud_auth::credentials::anonymous;
use headwater::firestore::client::{FirestoreDb, FirestoreDbOptions};
use headwater::{BoxCache, Fetcher, Headwater};
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use tokio::runtime::Runtime;

const KEYS: usize = 2_000;
const BATCH: usize = 100;
const COLLECTION: &str = "planes";

type Source = FirestoreSource<str, Record>;

/// Everybody who reads.
pub(super) struct World {
    runtime: Runtime,
    chain: BoxCache<str, Record>,
    source: Source,
    bare: FirestoreDb,
    /// Of keys, in the order in which they are read.
    numbers: Vec<usize>,
}

impl World {
    /// Fills the server; everybody is to run on so many threads.
    pub(super) fn new(host: &str, threads: usize, seed: u64) -> Self {
        let runtime = runtime(threads);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut numbers = Vec::new();
        // No key twice in a batch: the client would answer it once.
        while numbers.len() < 100 * BATCH {
            let mut all: Vec<usize> = (0..KEYS).collect();
            random.shuffle(&mut all);
            numbers.extend(all);
        }
        let (chain, source, bare) = runtime.block_on(async {
            let bare = client(host).await;
            fill(&bare).await;
            let source = async || {
                Source::new(client(host).await, COLLECTION).expect("a collection")
            };
            let chain = BoxCache::new(Headwater::source(source().await).build());
            (chain, source().await, bare)
        });
        let world = Self { runtime, chain, source, bare, numbers };
        world.runtime.block_on(world.check());
        world
    }

    /// Everybody finds the same.
    async fn check(&self) {
        for number in [0, KEYS - 1] {
            for who in One::ALL {
                assert_eq!(who.read(self, number).await, Record::new(number), "{}", who.name());
            }
            for who in Many::ALL {
                let read = who.read(self, &[number, 7]).await;
                assert_eq!(read, [Record::new(number), Record::new(7)], "{}", who.name());
            }
        }
    }

    /// The key that is read at this place of the order.
    fn number(&self, at: usize) -> usize {
        self.numbers[at % self.numbers.len()]
    }
}

/// Ways to read one key.
#[derive(Clone, Copy)]
pub(super) enum One {
    Headwater,
    /// Without the engine around it.
    Source,
    Bare,
}

impl One {
    pub(super) const ALL: [Self; 3] = [Self::Headwater, Self::Source, Self::Bare];

    fn name(self) -> &'static str {
        match self {
            Self::Headwater => "headwater",
            Self::Source => "source alone",
            Self::Bare => "bare get",
        }
    }

    async fn read(self, world: &World, number: usize) -> Record {
        let key = Record::key(number);
        match self {
            Self::Headwater => world.chain.fetch(&key).await.expect("it is there"),
            Self::Source => world.source.fetch(&key).await.expect("it is there"),
            Self::Bare => {
                let select = world.bare.fluent().select().by_id_in(COLLECTION).obj().one(&key);
                select.await.expect("the server answers").expect("it is there")
            }
        }
    }

    /// A lap of `fetches` fetches in so many tasks.
    pub(super) fn contestant(
        self,
        world: &Arc<World>,
        tasks: usize,
        fetches: usize,
    ) -> Contestant {
        let world = Arc::clone(world);
        Contestant::new(self.name(), move |_| {
            at_once(&world.runtime, &world, tasks, fetches, move |world, from, count| async move {
                for at in from..from + count {
                    black_box(self.read(&world, world.number(at)).await);
                }
            })
        })
    }
}

/// Ways to read [`BATCH`] keys.
#[derive(Clone, Copy)]
pub(super) enum Many {
    Headwater,
    /// Without the engine around it.
    Source,
    Bare,
}

impl Many {
    pub(super) const ALL: [Self; 3] = [Self::Headwater, Self::Source, Self::Bare];

    fn name(self) -> &'static str {
        match self {
            Self::Headwater => "headwater",
            Self::Source => "source alone",
            Self::Bare => "bare batch",
        }
    }

    async fn read(self, world: &World, numbers: &[usize]) -> Vec<Record> {
        let keys: Vec<String> = numbers.iter().map(|number| Record::key(*number)).collect();
        let texts: Vec<&str> = keys.iter().map(String::as_str).collect();
        let found = match self {
            Self::Headwater => world.chain.fetch_many(&texts).await,
            Self::Source => world.source.fetch_many(&texts).await,
            Self::Bare => return batch(&world.bare, &keys).await,
        };
        found.into_iter().map(|record| record.expect("it is there")).collect()
    }

    /// A lap of `batches` batches in so many tasks.
    pub(super) fn contestant(
        self,
        world: &Arc<World>,
        tasks: usize,
        batches: usize,
    ) -> Contestant {
        let world = Arc::clone(world);
        Contestant::new(self.name(), move |_| {
            at_once(&world.runtime, &world, tasks, batches, move |world, from, count| async move {
                for at in from..from + count {
                    let numbers = (at * BATCH..(at + 1) * BATCH).map(|at| world.number(at));
                    let numbers: Vec<usize> = numbers.collect();
                    let read = self.read(&world, &numbers).await;
                    assert_eq!(black_box(read).len(), BATCH);
                }
            })
        })
    }
}

/// The client's own way to read many, and the order of the keys.
async fn batch(db: &FirestoreDb, keys: &[String]) -> Vec<Record> {
    let select = db.fluent().select().by_id_in(COLLECTION).obj::<Record>();
    let mut answers = select.batch_with_errors(keys).await.expect("the server answers");
    let mut found = HashMap::with_capacity(keys.len());
    while let Some(answer) = answers.next().await {
        let (id, record) = answer.expect("the server answers");
        found.insert(id, record.expect("it is there"));
    }
    keys.iter().map(|key| found.remove(key).expect("it is there")).collect()
}

async fn client(host: &str) -> FirestoreDb {
    let options =
        FirestoreDbOptions::new("bench".to_owned()).with_firebase_api_url(format!("http://{host}"));
    let nobody = anonymous::Builder::new().build();
    FirestoreDb::with_options_auth(options, nobody).await.expect("the server is there")
}

/// In transactions, because batches of writes are for administrators only.
async fn fill(db: &FirestoreDb) {
    for start in (0..KEYS).step_by(BATCH) {
        let mut writes = db.begin_transaction().await.expect("the server begins one");
        for number in start..start + BATCH {
            let write = db.fluent().update().in_col(COLLECTION).document_id(Record::key(number));
            write.object(&Record::new(number)).add_to_transaction(&mut writes).expect("a write");
        }
        writes.commit().await.expect("the server stores");
    }
}

//! Traces made up from a seed: the patterns that tell policies apart.
//!
//! - `zipf`: popularity by Zipf's law that never changes: frequency is all.
//! - `shifting`: the same, but whose key is popular moves on every so often: recency counts too.
//! - `loop`: the same keys in the same order again and again: whoever keeps the latest hits nothing.
//! - `loops`: loops of many lengths by turns, so that any cache is a little short for some.
//! - `scans`: every other stretch of a Zipf trace is keys that are asked for once.
//! - `phases`: now a loop, now Zipf, now a stack of recent keys: no fixed share of anything is right.
//! - `stack`: keys come back by how many others were asked for since: recency is all.
//! - `random`: every key alike: nobody can do better than the capacity's share.

use super::Named;
use crate::harness::{Options, Zipf};
use fastrand::Rng;
use headwater_replay::Requests;

pub(super) fn traces(options: &Options) -> Vec<Named> {
    let count = options.scale(400_000, 50_000);
    let keys = options.scale(20_000, 5_000);
    let mut world =
        World { count, keys, zipf: Zipf::new(keys, 0.9), rng: Rng::with_seed(options.seed) };
    let all = [
        ("zipf", world.zipf()),
        ("shifting", world.shifting()),
        ("loop", (0..count).map(|at| (at % keys) as u64).collect()),
        ("loops", world.loops()),
        ("scans", world.scans()),
        ("phases", world.phases()),
        ("stack", world.stack()),
        ("random", world.random()),
    ];
    let named = |(name, keys): (&str, Vec<u64>)| {
        Named::new(name, keys.into_iter().collect::<Requests<_>>().end())
    };
    all.map(named).into()
}

struct World {
    count: usize,
    keys: usize,
    zipf: Zipf,
    rng: Rng,
}

impl World {
    fn wanted(&mut self) -> u64 {
        u64::from(self.zipf.sample(self.rng.f64()))
    }

    fn zipf(&mut self) -> Vec<u64> {
        (0..self.count).map(|_| self.wanted()).collect()
    }

    fn shifting(&mut self) -> Vec<u64> {
        let (every, by) = (self.count / 20, self.keys as u64 / 10);
        let keys = self.keys as u64;
        (0..self.count).map(|at| (self.wanted() + (at / every) as u64 * by) % keys).collect()
    }

    fn loops(&mut self) -> Vec<u64> {
        let (keys, part) = (self.keys, self.count / 8);
        let len = |at: usize| (keys >> (4 - (at / part) % 4)).max(1);
        (0..self.count).map(|at| (at % len(at)) as u64).collect()
    }

    fn scans(&mut self) -> Vec<u64> {
        let (count, keys) = (self.count, self.keys);
        let key = |at: usize| match (at / (keys / 5)) % 2 {
            0 => self.wanted(),
            _ => (keys + at) as u64,
        };
        (0..count).map(key).collect()
    }

    fn phases(&mut self) -> Vec<u64> {
        let phase = self.count / 6;
        let mut keys: Vec<u64> = Vec::with_capacity(self.count);
        for at in 0..self.count {
            let key = match (at / phase) % 3 {
                0 => (at % (self.keys / 8)) as u64,
                1 => self.wanted(),
                _ => self.recent(&keys),
            };
            keys.push(key);
        }
        keys
    }

    /// A key that was asked for lately, mostly, or one of all.
    fn recent(&mut self, keys: &[u64]) -> u64 {
        let window = (self.keys / 20).min(keys.len());
        match self.rng.u8(..4) {
            0 => self.rng.u64(..self.keys as u64),
            _ => keys[keys.len() - 1 - self.rng.usize(..window)],
        }
    }

    /// Keys by their place in a stack of the latest, most often near the top.
    fn stack(&mut self) -> Vec<u64> {
        let mut latest: Vec<u64> = (0..self.keys as u64).collect();
        let places = Zipf::new(self.keys, 0.7);
        let mut key = || {
            let depth = places.sample(self.rng.f64()) as usize;
            let key = latest.remove(latest.len() - 1 - depth);
            latest.push(key);
            key
        };
        (0..self.count).map(|_| key()).collect()
    }

    fn random(&mut self) -> Vec<u64> {
        (0..self.count).map(|_| self.rng.u64(..self.keys as u64)).collect()
    }
}

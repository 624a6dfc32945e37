//! W-TinyLFU with an adaptive window (Einziger, Friedman and Manes, 2017; Einziger, Eytan, Friedman and
//! Manes, 2018), with the numbers that Caffeine has.

use super::lists::Lists;

const WINDOW: usize = 0;
const PROBATION: usize = 1;
const PROTECTED: usize = 2;

/// The window's part of the cache in the beginning, and the protected part of the rest.
const FIRST_WINDOW: f64 = 0.01;
const PROTECTED_PART: f64 = 0.8;

/// The climber: so many requests per entry of capacity are one sample; its first step, in parts of
/// the capacity; how steps shrink; how much the hit ratio has to change for it to begin anew.
const SAMPLE_PER_ENTRY: usize = 10;
const FIRST_STEP: f64 = 0.0625;
const STEP_DECAY: f64 = 0.98;
const RESTART: f64 = 0.05;

/// A cache of keys that are numbered from 0.
pub(in super::super) struct WTinyLfu {
    capacity: usize,
    lists: Lists<3>,
    most_in_window: f64,
    sketch: Sketch,
    climber: Climber,
}

impl WTinyLfu {
    pub(in super::super) fn new(capacity: usize, keys: usize) -> Self {
        Self {
            capacity,
            lists: Lists::new(keys),
            most_in_window: (capacity as f64 * FIRST_WINDOW).max(1.0),
            sketch: Sketch::new(capacity),
            climber: Climber::new(capacity),
        }
    }

    /// Whether a key was there; it then is, or was found to be not worth it.
    pub(in super::super) fn ask(&mut self, key: u32) -> bool {
        self.sketch.note(key);
        let list = self.lists.of(key);
        match list {
            None => self.lists.put(WINDOW, key),
            Some(WINDOW) => self.lists.put(WINDOW, key),
            Some(_) => self.lists.put(PROTECTED, key),
        }
        self.settle();
        if let Some(change) = self.climber.note(list.is_some()) {
            let most = (self.capacity as f64 - 1.0).max(1.0);
            self.most_in_window = (self.most_in_window + change).clamp(1.0, most);
            self.settle();
        }
        list.is_some()
    }

    /// Brings each list to its length, and the cache to its capacity.
    fn settle(&mut self) {
        let window = self.most_in_window as usize;
        let most_protected = ((self.capacity - window.min(self.capacity)) as f64 * PROTECTED_PART) as usize;
        while self.lists.len(PROTECTED) > most_protected
            && let Some(oldest) = self.lists.oldest(PROTECTED)
        {
            self.lists.put(PROBATION, oldest);
        }
        while self.lists.len(WINDOW) > window
            && let Some(candidate) = self.lists.oldest(WINDOW)
        {
            let victim = self.lists.oldest(PROBATION).or_else(|| self.lists.oldest(PROTECTED));
            self.lists.put(PROBATION, candidate);
            if self.held() > self.capacity {
                let is_better = |victim| self.sketch.estimate(candidate) > self.sketch.estimate(victim);
                let loser = victim.filter(|victim| is_better(*victim)).unwrap_or(candidate);
                self.lists.take(loser);
            }
        }
        while self.held() > self.capacity
            && let Some(loser) = (0..3).rev().find_map(|list| self.lists.oldest((list + 2) % 3))
        {
            self.lists.take(loser);
        }
    }

    fn held(&self) -> usize {
        (0..3).map(|list| self.lists.len(list)).sum()
    }
}

/// Steers the window's size uphill.
struct Climber {
    sample: usize,
    first_step: f64,
    step: f64,
    requests: usize,
    hits: usize,
    last_ratio: f64,
}

impl Climber {
    fn new(capacity: usize) -> Self {
        let first_step = capacity as f64 * FIRST_STEP;
        let sample = (capacity * SAMPLE_PER_ENTRY).max(1);
        Self { sample, first_step, step: -first_step, requests: 0, hits: 0, last_ratio: 0.0 }
    }

    /// Notes a request; by how much to change the window, if it is time to.
    fn note(&mut self, is_hit: bool) -> Option<f64> {
        self.requests += 1;
        self.hits += usize::from(is_hit);
        if self.requests < self.sample {
            return None;
        }
        let ratio = self.hits as f64 / self.requests as f64;
        let change = ratio - self.last_ratio;
        let amount = if change >= 0.0 { self.step } else { -self.step };
        self.step = match change.abs() >= RESTART {
            true => self.first_step.copysign(amount),
            false => amount * STEP_DECAY,
        };
        (self.requests, self.hits, self.last_ratio) = (0, 0, ratio);
        Some(amount)
    }
}

/// How often keys were asked for lately: four counters of up to 15 each, the least of which counts.
struct Sketch {
    counters: Vec<u8>,
    notes: usize,
    most_notes: usize,
}

impl Sketch {
    fn new(capacity: usize) -> Self {
        let len = (capacity.next_power_of_two() * 16).max(128);
        Self { counters: vec![0; len], notes: 0, most_notes: (capacity * 10).max(16) }
    }

    fn places(&self, key: u32) -> [usize; 4] {
        const FACTORS: [u64; 4] =
            [0xC3A5_C85C_97CB_3127, 0xB492_B66F_BE98_F273, 0x9AE1_6A3B_2F90_404F, 0xCBF2_9CE4_8422_2325];
        let mask = self.counters.len() - 1;
        FACTORS.map(|factor| ((u64::from(key) + 1).wrapping_mul(factor) >> 29) as usize & mask)
    }

    fn note(&mut self, key: u32) {
        let mut is_noted = false;
        for place in self.places(key) {
            let counter = &mut self.counters[place];
            if *counter < 15 {
                *counter += 1;
                is_noted = true;
            }
        }
        self.notes += usize::from(is_noted);
        if self.notes == self.most_notes {
            self.notes /= 2;
            self.counters.iter_mut().for_each(|counter| *counter /= 2);
        }
    }

    fn estimate(&self, key: u32) -> u8 {
        self.places(key).map(|place| self.counters[place]).into_iter().min().unwrap_or(0)
    }
}

//! A fixed number of counters, found by key: two-choice buckets of eight, no lock to use a counter.
//!
//! Only counters that are full again are taken for other keys. When both buckets of a key hold none,
//! the key shares an overflow counter with others, so nobody gets a fresh budget by pushing keys
//! out. Memory is asked for zeroed and touched only where a key lands.

mod live;
mod update;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::names::{Name, Names};
use super::word::Word;

pub(super) use live::Live;
use update::Update;

/// Counters in a bucket, four to a cache line.
const WAYS: usize = 8;
/// Cells of a counter: its key, then its state.
const CELLS: usize = 2;
const BUCKET: usize = CELLS * WAYS;
const LINE: usize = 64 / size_of::<AtomicU64>();
/// Both buckets of a key are on one page, so that a key that was not used lately costs one miss of the TLB.
const PAGE: usize = 4096 / size_of::<AtomicU64>();
const BUCKETS_OF_A_PAGE: usize = PAGE / BUCKET;
const STRIPES: usize = 256;
const OVERFLOWS: usize = 4096;

pub(super) struct Pool {
    /// For each counter its key (zero for none), then its state.
    cells: Box<[AtomicU64]>,
    /// Where in `cells` the first page begins.
    first: usize,
    /// A power of two.
    buckets: usize,
    overflows: Box<[AtomicU64]>,
    /// Held while a key is inserted, so that no key is inserted twice.
    stripes: Box<[Mutex<()>]>,
    /// The latest time by which a counter was given to another key.
    given_at: AtomicU64,
    names: Names,
    /// One word for each counter, where other gateways charge it too; else none.
    leases: Box<[AtomicU64]>,
}

/// A key's place among the counters. The numbers are hashes under a secret, so nobody can choose
/// keys that meet in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id {
    /// Not zero.
    pub(super) key: u64,
    /// Which overflow counter the key shares when there is no room.
    pub(super) overflow: u64,
    /// Kept beside the counter.
    pub(super) name: Name,
}

/// What was taken from a counter, so that it can be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Charge {
    place: Place,
    key: u64,
    generation: u64,
    amount: u64,
    at: u64,
    /// When the counter is full again, in nanoseconds since the start.
    pub(super) full_at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The index of the key's cell.
    Slot(usize),
    Overflow(usize),
}

impl Charge {
    /// The key has a counter of its own, and shares none.
    pub(super) fn is_own(&self) -> bool {
        matches!(self.place, Place::Slot(_))
    }
}

impl Pool {
    /// Room for at least `capacity` keys. While six in ten are in use each has a counter of its own; at nine in
    /// ten, one in a hundred shares one.
    pub(super) fn new(capacity: usize) -> Self {
        let buckets = capacity.div_ceil(WAYS).next_power_of_two();
        let cells: Box<[AtomicU64]> = bytemuck::zeroed_slice_box(buckets * BUCKET + PAGE);
        Pool {
            first: cells.as_ptr().align_offset(PAGE * size_of::<AtomicU64>()),
            cells,
            buckets,
            overflows: bytemuck::zeroed_slice_box(OVERFLOWS),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            given_at: AtomicU64::new(0),
            names: Names::new(buckets * WAYS),
            leases: Box::default(),
        }
    }

    /// The same with a word beside each counter for what is to be told of it.
    pub(super) fn with_leases(self) -> Self {
        Pool {
            leases: bytemuck::zeroed_slice_box(self.buckets * WAYS),
            ..self
        }
    }

    /// The number and the lease of the key's counter; `None` when it has none of its own.
    pub(super) fn lease(&self, id: Id) -> Option<(usize, &AtomicU64)> {
        let number = self.number_of(self.find(id)?);
        Some((number, self.leases.get(number)?))
    }

    /// The lease of the counter with this number, as long as it is the key's.
    pub(super) fn lease_at(&self, id: Id, number: usize) -> Option<&AtomicU64> {
        let cell = self.first + number * CELLS;
        let is_own = self.cells.get(cell)?.load(Ordering::Acquire) == id.key;
        self.leases.get(number).filter(|_| is_own)
    }

    /// As new; only while no other thread uses it.
    pub(super) fn clear(&self) {
        for cell in self.cells.iter().chain(&self.overflows) {
            cell.store(0, Ordering::Release);
        }
        self.given_at.store(0, Ordering::Release);
    }

    /// Lets `decide` turn the time at which the key's counter is full, `None` for a key that has
    /// none, into the next one. `amount` is what the time moves by at most, in nanoseconds. A key that has no
    /// counter yet begins with one that is full when `inherit` says.
    pub(super) fn charge<T, E>(
        &self,
        id: Id,
        now: u64,
        amount: u64,
        inherit: impl FnOnce() -> u64,
        decide: impl Fn(Option<u64>) -> Result<(T, u64), E>,
    ) -> Result<(T, Charge), E> {
        let update = Update {
            id,
            now,
            amount,
            decide,
        };
        match self.charge_known(&update) {
            Some(result) => result,
            None => self.charge_new(&update, inherit),
        }
    }

    /// When the key's own counter is full; zero when it has none.
    pub(super) fn full_at(&self, id: Id) -> u64 {
        let Some(cell) = self.find(id) else {
            return 0;
        };
        let word = Word(self.cells[cell + 1].load(Ordering::Acquire));
        let is_still = self.cells[cell].load(Ordering::Acquire) == id.key;
        match is_still && word != Word::BUSY {
            true => word.time(),
            false => 0,
        }
    }

    /// Gives back what is still missing of a charge: which part of it that was.
    ///
    /// As long as the counter was never nearly full in between, that is all of it. Otherwise time may
    /// have made some of it good: at most the time that has passed.
    pub(super) fn refund(&self, charge: &Charge, now: u64) -> f64 {
        let state = match charge.place {
            Place::Slot(cell) => &self.cells[cell + 1],
            Place::Overflow(index) => &self.overflows[index],
        };
        let mut word = Word(state.load(Ordering::Acquire));
        loop {
            let is_same_key = match charge.place {
                Place::Slot(cell) => self.cells[cell].load(Ordering::Acquire) == charge.key,
                Place::Overflow(_) => true,
            };
            if word == Word::BUSY || !is_same_key {
                return 0.0;
            }
            // Keys that share an overflow counter may charge different amounts, which the
            // generation does not tell.
            let is_untouched =
                word.generation() == charge.generation && matches!(charge.place, Place::Slot(_));
            let missing = if is_untouched {
                charge.amount
            } else {
                charge.amount.saturating_sub(now.saturating_sub(charge.at))
            };
            let next = word.at(word.time().saturating_sub(missing));
            match swap(state, word, next) {
                Ok(()) => return missing as f64 / charge.amount.max(1) as f64,
                Err(seen) => word = seen,
            }
        }
    }

    /// Charges the counter that the key already has; `None` when it has none.
    fn charge_known<T, E, F>(&self, update: &Update<F>) -> Option<Result<(T, Charge), E>>
    where
        F: Fn(Option<u64>) -> Result<(T, u64), E>,
    {
        let cell = self.find(update.id)?;
        let is_still = || self.cells[cell].load(Ordering::Acquire) == update.id.key;
        update.apply(&self.cells[cell + 1], Place::Slot(cell), is_still)
    }

    /// The cell that the key is in.
    fn find(&self, id: Id) -> Option<usize> {
        let buckets = self.buckets_of(id);
        let [one, other] = buckets.map(|bucket| &self.cells[bucket..bucket + BUCKET]);
        // Counters are given out from the front, so the first lines have most of them. Both are read before
        // either is judged: where none is in a cache, one is waited for and not two.
        for line in (0..BUCKET).step_by(LINE) {
            let mut found = None;
            for at in (line..line + LINE).step_by(CELLS) {
                for (bucket, cells) in buckets.iter().zip([one, other]) {
                    if cells[at].load(Ordering::Acquire) == id.key {
                        found = Some(bucket + at);
                    }
                }
            }
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Gives the key a counter, and charges that. Most charges find one, and are not to carry what this needs.
    #[cold]
    #[inline(never)]
    fn charge_new<T, E, F>(
        &self,
        update: &Update<F>,
        inherit: impl FnOnce() -> u64,
    ) -> Result<(T, Charge), E>
    where
        F: Fn(Option<u64>) -> Result<(T, u64), E>,
    {
        // From the top, so that keys of one bucket do not wait for each other.
        let stripe = (update.id.key >> 56) as usize % STRIPES;
        let _inserting = self.stripes[stripe]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(result) = self.charge_known(update) {
            return result;
        }
        let shared_at = update.id.overflow as usize % OVERFLOWS;
        let shared = &self.overflows[shared_at];
        // The key may have been over its limit there: it goes on with what the counter says.
        let shared_by_now = Word(shared.load(Ordering::Acquire)).time();
        let inherited = inherit();
        let before = shared_by_now.max(inherited);
        let before = (before > update.now).then_some(before);
        let (value, full_at) = match (update.decide)(before) {
            Ok(decided) => decided,
            Err(refused) => {
                // Time passes from now on, and not whenever it is asked next.
                if inherited > update.now {
                    self.insert(update.id, update.now, inherited);
                }
                return Err(refused);
            }
        };
        // By another worker's later reading of the clock the key's own counter may have been full, and given
        // away: what is missing since is owed, and nobody is refused for it.
        let given_at = self.given_at.load(Ordering::Acquire);
        let missing = given_at.saturating_sub(update.now);
        let full_at = full_at.saturating_add(missing);
        if let Some((cell, word)) = self.insert(update.id, update.now, full_at) {
            return Ok((value, update.charged(Place::Slot(cell), word)));
        }
        let shared_update = Update {
            id: update.id,
            now: update.now,
            amount: update.amount,
            decide: |full_at: Option<u64>| {
                let (value, full_at) = (update.decide)(full_at.max(before))?;
                Ok((value, full_at.saturating_add(missing)))
            },
        };
        loop {
            // No key takes an overflow counter for itself, so this ends.
            let place = Place::Overflow(shared_at);
            if let Some(result) = shared_update.apply(shared, place, || true) {
                return result;
            }
        }
    }

    /// Gives the key a counter that nobody owes anything to, which is full at this time from now on: its cell
    /// and its state. The key's stripe is locked.
    fn insert(&self, id: Id, now: u64, full_at: u64) -> Option<(usize, Word)> {
        let [one, other] = self.buckets_of(id);
        let room = |bucket: usize| {
            let states = self.cells[bucket..bucket + BUCKET]
                .iter()
                .skip(1)
                .step_by(CELLS);
            let words = states.map(|s| Word(s.load(Ordering::Relaxed)));
            words.filter(|word| word.is_full(now)).count()
        };
        let order = if room(one) >= room(other) {
            [one, other]
        } else {
            [other, one]
        };
        let cells = order.map(|bucket| (bucket..bucket + BUCKET).step_by(CELLS));
        for cell in cells.into_iter().flatten() {
            let state = &self.cells[cell + 1];
            let word = Word(state.load(Ordering::Acquire));
            if !word.is_full(now) {
                continue;
            }
            self.given_at.fetch_max(now, Ordering::AcqRel);
            if swap(state, word, Word::BUSY).is_err() {
                continue;
            }
            let next = word.next(full_at);
            self.cells[cell].store(id.key, Ordering::Release);
            let number = self.number_of(cell);
            self.names.set(number, id.name);
            if let Some(lease) = self.leases.get(number) {
                lease.store(0, Ordering::Release);
            }
            state.store(next.0, Ordering::Release);
            return Some((cell, next));
        }
        None
    }

    /// The number among all counters of the one whose key is in this cell.
    fn number_of(&self, cell: usize) -> usize {
        (cell - self.first) / CELLS
    }

    /// Where the keys of the two buckets begin.
    fn buckets_of(&self, id: Id) -> [usize; 2] {
        let mask = self.buckets - 1;
        let one = id.key as usize & mask;
        // An odd number added under the mask: never the same bucket, when there are two.
        let near = mask.min(BUCKETS_OF_A_PAGE - 1);
        let other = one & !near | (one + ((id.key >> 32) as usize | 1)) & near;
        [one, other].map(|bucket| self.first + bucket * BUCKET)
    }
}

/// For decisions that refuse nobody.
pub(super) fn settled<T>(charged: Result<(T, Charge), Infallible>) -> Charge {
    let Ok((_, charge)) = charged;
    charge
}

fn swap(state: &AtomicU64, from: Word, to: Word) -> Result<(), Word> {
    let swapped = state.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Acquire);
    swapped.map(drop).map_err(Word)
}

#[cfg(test)]
mod tests;

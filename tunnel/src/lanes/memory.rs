//! What lanes may promise to hold beyond what each begins with: one budget for all sessions and lanes of a program.
//!
//! A promise is a window: bytes that a peer may send before it hears again. What is promised need not be held, but it
//! could be, all at once, by whoever means ill; so promises are what is counted.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use parking_lot::Mutex;

use super::by_id::IdHasher;
use super::frame::Source;

/// The budget. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LaneMemory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    promised: Mutex<Promised>,
}

#[derive(Debug, Default)]
struct Promised {
    total: usize,
    /// Only of sources to which something is promised.
    by_source: HashMap<Source, usize, BuildHasherDefault<IdHasher>>,
}

/// What is promised to one lane of a source; given back when it is dropped.
#[derive(Debug)]
pub struct Promise {
    memory: LaneMemory,
    source: Source,
    bytes: usize,
}

impl LaneMemory {
    /// A budget of `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self(Arc::new(Shared { max, promised: Mutex::default() }))
    }

    /// More than any test asks for.
    #[cfg(any(test, fuzzing))]
    #[must_use]
    pub fn ample() -> Self {
        Self::new(1 << 40)
    }

    /// A promise of nothing yet.
    #[must_use]
    pub fn promise(&self, source: Source) -> Promise {
        Promise { memory: self.clone(), source, bytes: 0 }
    }

    /// Bytes that are promised in all.
    #[must_use]
    pub fn promised(&self) -> usize {
        self.0.promised.lock().total
    }

    /// Bytes that may be.
    #[must_use]
    pub fn max(&self) -> usize {
        self.0.max
    }
}

impl Promise {
    /// Promises `bytes` in all, if there is so much: a source has at most half of what the others leave. Less is always
    /// possible. Returns whether it is so.
    pub fn set(&mut self, bytes: usize) -> bool {
        if bytes == self.bytes {
            return true;
        }
        let mut promised = self.memory.0.promised.lock();
        let of_source = promised.by_source.get(&self.source).copied().unwrap_or_default();
        let (total, of_source) = (promised.total - self.bytes, of_source - self.bytes);
        let others = total - of_source;
        if bytes > self.bytes && of_source + bytes > (self.memory.0.max.saturating_sub(others)) / 2
        {
            return false;
        }
        promised.total = total + bytes;
        match of_source + bytes {
            0 => drop(promised.by_source.remove(&self.source)),
            all => drop(promised.by_source.insert(self.source, all)),
        }
        self.bytes = bytes;
        true
    }

    /// Bytes that are promised.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_half_of_what_others_leave() {
        let memory = LaneMemory::new(800);
        let [mut first, mut again, mut other] =
            [1, 1, 2].map(|source| memory.promise(Source(source)));
        assert!(first.set(300) && again.set(100), "half of all");
        assert!(!again.set(101), "whichever of its lanes asks");
        assert_eq!(again.bytes(), 100);
        assert!(other.set(200) && !other.set(201), "half of the rest");
        assert!(first.set(100), "less is always possible");
        assert_eq!(memory.promised(), 400);
        drop(first);
        assert!(other.set(350));
        assert!(!again.set(226) && again.set(225));
        drop((again, other));
        assert_eq!(memory.promised(), 0);
        assert!(memory.0.promised.lock().by_source.is_empty());
    }
}

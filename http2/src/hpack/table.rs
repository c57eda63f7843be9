//! The dynamic table (RFC 7541 2.3.2, 4).

use std::collections::VecDeque;

use super::TABLE_SIZE;
use crate::fields::FIELD_OVERHEAD;

/// The smallest buffer that is allocated; it doubles up to [`TABLE_SIZE`].
const SMALLEST: usize = 512;

/// Most entries a table can have.
pub(super) const MOST_ENTRIES: usize = TABLE_SIZE / FIELD_OVERHEAD;

/// Names and values, the newest at index 0. No memory before the first insertion.
///
/// The bytes of the entries follow each other in one buffer, oldest first. What evicted ones leave at its beginning is
/// taken back when the end is reached: with 32 bytes counted for each entry, that is once in many insertions.
#[derive(Debug)]
pub(super) struct Table {
    bytes: Vec<u8>,
    /// Oldest first.
    entries: VecDeque<Entry>,
    /// The position of the buffer's first byte. Positions count all bytes that ever were, and wrap.
    base: u16,
    /// RFC 7541 4.1.
    size: usize,
    max: usize,
}

/// Where an entry's bytes begin, and the lengths of its name and value. All are below [`TABLE_SIZE`].
#[derive(Clone, Copy, Debug)]
struct Entry {
    position: u16,
    name: u16,
    value: u16,
}

impl Entry {
    fn size(self) -> usize {
        usize::from(self.name) + usize::from(self.value) + FIELD_OVERHEAD
    }
}

impl Default for Table {
    fn default() -> Self {
        Self { bytes: Vec::new(), entries: VecDeque::new(), base: 0, size: 0, max: TABLE_SIZE }
    }
}

impl Table {
    /// Returns the size that it may have.
    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// Sets the size that it may have, at most [`TABLE_SIZE`], and evicts what is beyond (RFC 7541 4.3).
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max.min(TABLE_SIZE);
        self.shrink_to(self.max);
    }

    /// Returns how many entries there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the size as RFC 7541 4.1 counts it.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Returns the name and value at an index, 0 the newest.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let at = self.entries.len().checked_sub(index)?.checked_sub(1)?;
        let entry = self.entries.get(at)?;
        let from = usize::from(entry.position.wrapping_sub(self.base));
        let bytes = self.bytes.get(from..)?;
        let (name, bytes) = bytes.split_at_checked(usize::from(entry.name))?;
        Some((name, bytes.get(..usize::from(entry.value))?))
    }

    /// Whether a field can be put in at all.
    pub(super) fn fits(&self, name: &[u8], value: &[u8]) -> bool {
        name.len() + value.len() + FIELD_OVERHEAD <= self.max
    }

    /// Puts a field in, and evicts as many of the oldest as it takes: all of them, if it does not fit itself
    /// (RFC 7541 4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        if !self.fits(name, value) {
            self.shrink_to(0);
            return;
        }
        let needed = name.len() + value.len();
        let size = needed + FIELD_OVERHEAD;
        self.shrink_to(self.max - size);
        self.make_room(needed);
        // No more than TABLE_SIZE each, as the field fits.
        self.entries.push_back(Entry {
            position: self.base.wrapping_add(self.bytes.len() as u16),
            name: name.len() as u16,
            value: value.len() as u16,
        });
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.size += size;
    }

    /// Evicts the oldest until the table is no larger than that.
    fn shrink_to(&mut self, size: usize) {
        while self.size > size
            && let Some(entry) = self.entries.pop_front()
        {
            self.size -= entry.size();
        }
    }

    /// Makes room for so many bytes at the buffer's end, which fit once the evicted ones are gone.
    fn make_room(&mut self, needed: usize) {
        let wanted = self.bytes.len() + needed;
        if wanted > TABLE_SIZE {
            let live = self.entries.front().map(|oldest| oldest.position.wrapping_sub(self.base));
            let dead = live.map_or(self.bytes.len(), usize::from);
            self.bytes.drain(..dead);
            self.base = self.base.wrapping_add(dead as u16);
        } else if wanted > self.bytes.capacity() {
            let capacity = wanted.next_power_of_two().max(SMALLEST);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(table: &Table) -> Vec<&[u8]> {
        (0..table.len()).map(|index| table.get(index).unwrap().0).collect()
    }

    #[test]
    fn nothing_is_allocated_before_the_first_insertion() {
        let mut table = Table::default();
        table.set_max(100);
        table.insert(&[b'n'; 100], b"");
        assert_eq!((table.bytes.capacity(), table.entries.capacity()), (0, 0));
        table.insert(b"n", b"v");
        assert_eq!(table.bytes.capacity(), SMALLEST);
    }

    #[test]
    fn the_oldest_are_evicted() {
        let mut table = Table::default();
        table.set_max(3 * 34);
        for name in [b"a", b"b", b"c", b"d"] {
            table.insert(name, b"1");
        }
        assert_eq!((names(&table), table.size()), (vec![&b"d"[..], b"c", b"b"], 3 * 34));
        table.insert(b"ee", b"1");
        assert_eq!((names(&table), table.size()), (vec![&b"ee"[..], b"d"], 35 + 34));
        table.set_max(68);
        assert_eq!(names(&table), [b"ee"]);
        table.insert(&[b'x'; 36], b"1");
        assert_eq!((table.len(), table.size()), (0, 0));
        assert_eq!(table.get(0), None);
        table.insert(&[b'x'; 36], b"");
        assert_eq!((table.len(), table.size()), (1, 68));
        table.set_max(0);
        assert_eq!((table.len(), table.size()), (0, 0));
    }

    /// Long enough for positions to wrap, and against a list that keeps everything.
    #[test]
    fn the_buffer_stays_small_and_right() {
        let mut table = Table::default();
        let mut all = Vec::new();
        for turn in 0..5_000_usize {
            let name = turn.to_string().into_bytes();
            let value = vec![turn as u8; turn * 31 % 190];
            table.insert(&name, &value);
            all.push((name, value));
            for (index, (name, value)) in all.iter().rev().take(table.len()).enumerate() {
                assert_eq!(table.get(index), Some((&name[..], &value[..])));
            }
            assert!(table.size() <= TABLE_SIZE && table.bytes.capacity() <= TABLE_SIZE);
        }
        assert!(table.len() > 10 && table.get(table.len()).is_none());
    }

    #[test]
    fn the_most_entries_fit() {
        let mut table = Table::default();
        for _ in 0..2 * MOST_ENTRIES {
            table.insert(b"", b"");
        }
        assert_eq!(table.len(), MOST_ENTRIES);
    }
}

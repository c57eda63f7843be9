//! Where the encoder finds a field in its dynamic table.

use super::strings::{hash, is_same};
use super::table::{MOST_ENTRIES, Table};

/// One list for each value of a hash, of entries newest first.
///
/// Entries are known by the count of insertions before them, which wraps; the table's length tells the living from the
/// evicted, so nothing needs to be removed. Counts of the evicted may look alive after 65536 insertions: that costs a
/// look at an entry that is something else, no more.
#[derive(Debug)]
struct Lists {
    newest: [u16; MOST_ENTRIES],
    older: [u16; MOST_ENTRIES],
}

/// The hash's bits that choose a list.
const LIST_BITS: u32 = MOST_ENTRIES.ilog2();

impl Lists {
    const fn new() -> Self {
        Self { newest: [0; MOST_ENTRIES], older: [0; MOST_ENTRIES] }
    }

    fn insert(&mut self, hash: u64, entry: u16) {
        let newest = &mut self.newest[(hash >> (u64::BITS - LIST_BITS)) as usize];
        self.older[usize::from(entry) % MOST_ENTRIES] = *newest;
        *newest = entry;
    }

    /// Returns the table's index of the newest entry that has this hash and that `is` accepts. The table has `live`
    /// entries, and the next one put in will be `next`.
    #[inline]
    fn find(&self, hash: u64, next: u16, live: usize, is: impl Fn(usize) -> bool) -> Option<usize> {
        let mut entry = self.newest[(hash >> (u64::BITS - LIST_BITS)) as usize];
        let mut least = 0;
        loop {
            let index = usize::from(next.wrapping_sub(entry).wrapping_sub(1));
            // A list only leads to older ones: else its rest is of the evicted.
            if index >= live || index < least {
                return None;
            }
            if is(index) {
                return Some(index);
            }
            least = index + 1;
            entry = self.older[usize::from(entry) % MOST_ENTRIES];
        }
    }
}

/// Finds entries of a table by name, and by name and value. No memory before the first insertion.
#[derive(Debug, Default)]
pub(super) struct Index {
    lists: Option<Box<Both>>,
    /// Insertions so far.
    next: u16,
}

#[derive(Debug)]
struct Both {
    names: Lists,
    pairs: Lists,
}

/// A field's hashes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hashes {
    name: u64,
    pair: u64,
}

impl Hashes {
    /// Hashes a field.
    #[inline]
    pub(super) fn of(name: &[u8], value: &[u8]) -> Self {
        let name = Self::of_name(name);
        Self { name, pair: name.rotate_left(5) ^ hash(value) }
    }

    /// Hashes a name alone.
    #[inline]
    pub(super) fn of_name(name: &[u8]) -> u64 {
        hash(name)
    }

    /// The name's hash.
    pub(super) fn name(self) -> u64 {
        self.name
    }
}

impl Index {
    /// Notes that the field with these hashes was put into the table.
    pub(super) fn insert(&mut self, hashes: Hashes) {
        let both = self
            .lists
            .get_or_insert_with(|| Box::new(Both { names: Lists::new(), pairs: Lists::new() }));
        both.names.insert(hashes.name, self.next);
        both.pairs.insert(hashes.pair, self.next);
        self.next = self.next.wrapping_add(1);
    }

    /// Returns the table's index of this field.
    #[inline]
    pub(super) fn pair(
        &self,
        hashes: Hashes,
        table: &Table,
        pair: (&[u8], &[u8]),
    ) -> Option<usize> {
        let is = |index| {
            let known = table.get(index);
            known.is_some_and(|known| is_same(known.0, pair.0) && is_same(known.1, pair.1))
        };
        self.lists.as_ref()?.pairs.find(hashes.pair, self.next, table.len(), is)
    }

    /// Returns the table's index of the newest field of this name.
    #[inline]
    pub(super) fn name(&self, hash: u64, table: &Table, name: &[u8]) -> Option<usize> {
        let is = |index| table.get(index).is_some_and(|(known, _)| is_same(known, name));
        self.lists.as_ref()?.names.find(hash, self.next, table.len(), is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Model {
        index: Index,
        table: Table,
    }

    impl Model {
        fn insert(&mut self, name: &[u8], value: &[u8]) {
            self.index.insert(Hashes::of(name, value));
            self.table.insert(name, value);
        }

        fn find(&self, name: &[u8], value: &[u8]) -> (Option<usize>, Option<usize>) {
            let hashes = Hashes::of(name, value);
            let pair = self.index.pair(hashes, &self.table, (name, value));
            (pair, self.index.name(hashes.name, &self.table, name))
        }
    }

    /// More insertions than counts, and every answer against a search from the newest to the oldest.
    #[test]
    fn finds_the_newest_of_the_living() {
        let mut model = Model { index: Index::default(), table: Table::default() };
        for turn in 0..70_000_u32 {
            let (name, value) = ((turn % 7).to_string(), (turn * 13 % 111).to_string());
            let (name, value) = (name.as_bytes(), value.as_bytes());
            model.insert(name, value);
            assert_eq!(model.find(name, value), (Some(0), Some(0)));
            if turn % 97 == 0 {
                for other in 0..111 {
                    let value = other.to_string().into_bytes();
                    let known: Vec<_> =
                        (0..model.table.len()).map(|at| model.table.get(at).unwrap()).collect();
                    let pair = known.iter().position(|&known| known == (name, &value[..]));
                    assert_eq!(model.find(name, &value), (pair, Some(0)));
                }
            }
        }
    }

    #[test]
    fn finds_nothing_in_what_is_empty() {
        let mut model = Model { index: Index::default(), table: Table::default() };
        assert_eq!(model.find(b"", b""), (None, None));
        model.insert(b"n", b"v");
        assert_eq!(model.find(b"n", b"w"), (None, Some(0)));
        model.table.set_max(0);
        assert_eq!(model.find(b"n", b"v"), (None, None));
    }
}

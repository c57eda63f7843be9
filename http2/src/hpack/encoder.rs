//! The sending side: fields to header blocks.

use super::index::{Hashes, Index};
use super::static_table::{self, Found};
use super::{TABLE_SIZE, huffman, integer, pattern, table::Table};
use crate::fields::{Field, Indexing};

/// Encodes the header blocks of one direction of a connection: they must be sent in the order in which they are
/// encoded.
#[derive(Debug, Default)]
pub struct Encoder {
    table: Table,
    index: Index,
    due: Option<SizeUpdate>,
}

/// What the peer has made of the table's size since the last block.
#[derive(Clone, Copy, Debug)]
struct SizeUpdate {
    least: usize,
    last: usize,
}

impl Encoder {
    /// An encoder with an empty table. Allocates when the table gets its first entry, and nothing before.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the peer's SETTINGS_HEADER_TABLE_SIZE (RFC 9113 6.5.2), in bytes; at most [`TABLE_SIZE`] of it is used.
    ///
    /// The next block begins with the new size. If it was lowered and raised between two blocks, with both the least
    /// and the last (RFC 7541 4.2).
    pub fn set_max_size(&mut self, size: u32) {
        let last = usize::try_from(size).unwrap_or(usize::MAX).min(TABLE_SIZE);
        let least = self.due.map_or(last, |due| due.least.min(last));
        self.due = Some(SizeUpdate { least, last });
    }

    /// Begins a block: writes the size updates that are due.
    pub fn begin(&mut self, block: &mut Vec<u8>) {
        let Some(SizeUpdate { least, last }) = self.due.take() else { return };
        if least < last && least < self.table.max() {
            self.announce(least, block);
        }
        if last != self.table.max() {
            self.announce(last, block);
        }
    }

    fn announce(&mut self, size: usize, block: &mut Vec<u8>) {
        self.table.set_max(size);
        integer::encode(pattern::SIZE_UPDATE, size, block);
    }

    /// Writes a field, and repeats the sender's choice ([`Field::indexing`]):
    ///
    /// - `Incremental`: a reference where a table has the field, else a literal that puts it there. One that is too
    ///   large for the table is written as `Without`: it would empty the table and not be there.
    /// - `Without`: a literal, or a reference into the static table.
    /// - `Never`: a literal that must never be indexed.
    ///
    /// A literal's name is a reference where the tables have it, and strings are in Huffman code where that is shorter.
    pub fn field(&mut self, field: Field<'_>, block: &mut Vec<u8>) {
        let Field { name, value, indexing } = field;
        let found = static_table::find(name, value);
        match (found, indexing) {
            (Some(Found::Pair(index)), Indexing::Incremental | Indexing::Without) => {
                integer::encode(pattern::INDEXED, index, block);
            }
            (_, Indexing::Incremental) if self.table.fits(name, value) => {
                self.incremental(field, found, block);
            }
            (Some(Found::Pair(index) | Found::Name(index)), _) => {
                literal(literal_pattern(indexing), index, field, block);
            }
            (None, _) => {
                let index = self.dynamic_name(Hashes::of_name(name), name);
                literal(literal_pattern(indexing), index, field, block);
            }
        }
    }

    fn incremental(&mut self, field: Field<'_>, found: Option<Found>, block: &mut Vec<u8>) {
        let Field { name, value, .. } = field;
        let hashes = Hashes::of(name, value);
        if let Some(index) = self.index.pair(hashes, &self.table, (name, value)) {
            integer::encode(pattern::INDEXED, static_table::LEN + 1 + index, block);
            return;
        }
        let index = match found {
            Some(Found::Pair(index) | Found::Name(index)) => index,
            None => self.dynamic_name(hashes.name(), name),
        };
        literal(pattern::INCREMENTAL, index, field, block);
        self.table.insert(name, value);
        self.index.insert(hashes);
    }

    /// Returns the index of a name in the dynamic table, 0 if it is not there.
    fn dynamic_name(&self, hash: u64, name: &[u8]) -> usize {
        let index = self.index.name(hash, &self.table, name);
        index.map_or(0, |index| static_table::LEN + 1 + index)
    }
}

/// Returns the pattern of a literal that is not put into the table.
fn literal_pattern(indexing: Indexing) -> (u8, u32) {
    match indexing {
        Indexing::Never => pattern::NEVER,
        Indexing::Without | Indexing::Incremental => pattern::WITHOUT,
    }
}

/// Writes a literal, whose name is at the index unless that is 0.
fn literal(pattern: (u8, u32), index: usize, field: Field<'_>, block: &mut Vec<u8>) {
    integer::encode(pattern, index, block);
    if index == 0 {
        string(field.name, block);
    }
    string(field.value, block);
}

/// Writes a string in the shorter of its forms (RFC 7541 5.2).
fn string(string: &[u8], block: &mut Vec<u8>) {
    let encoded = huffman::encoded_len(string);
    if encoded < string.len() {
        integer::encode(pattern::HUFFMAN, encoded, block);
        huffman::encode(string, block);
    } else {
        integer::encode(pattern::RAW, string.len(), block);
        block.extend_from_slice(string);
    }
}

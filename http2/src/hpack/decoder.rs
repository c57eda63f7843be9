//! The receiving side: header blocks to fields.

use super::{Error, TABLE_SIZE, huffman, integer, pattern, static_table, table::Table};
use crate::fields::{FIELD_OVERHEAD, Fields, Indexing};

/// Most size updates in a block. RFC 7541 4.2 asks for two at most; who sends a few more does no harm.
const MAX_SIZE_UPDATES: usize = 8;

/// What is kept, between blocks, of the memory for the strings of a field.
const SCRATCH_KEPT: usize = 1024;

/// Decodes the header blocks of one direction of a connection: all of them, in the order in which they came.
#[derive(Debug, Default)]
pub struct Decoder {
    table: Table,
    /// The strings of a field that are not in the block as they are: the name, then the value.
    scratch: Vec<u8>,
}

/// How much of a block was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// All of it.
    Whole,
    /// The list would have this size, in bytes as [`Fields::size`] counts them. The fields before the first that was
    /// too much are kept, and none from that on.
    TooLarge(usize),
}

impl Decoder {
    /// A decoder with an empty table. Allocates when the table gets its first entry, and nothing before.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes a whole block, that is HEADERS and CONTINUATIONs put together, and appends its fields to the list.
    ///
    /// The list grows to at most `max_size` bytes, as [`Fields::size`] counts them. What is beyond is decoded all the
    /// same, so that the table stays in step, but not kept.
    ///
    /// # Errors
    ///
    /// If the block breaks RFC 7541: the connection must end (RFC 9113 4.3). The table is of no use then, and the list
    /// has some of the fields.
    pub fn decode(
        &mut self,
        block: &[u8],
        fields: &mut Fields,
        max_size: usize,
    ) -> Result<Decoded, Error> {
        let mut rest = block;
        self.size_updates(&mut rest)?;
        let mut list = List { size: fields.size(), max_size, fields };
        while let Some(&first) = rest.first() {
            if first & pattern::INDEXED.0 != 0 {
                self.indexed(&mut rest, &mut list)?;
            } else {
                self.literal(first, &mut rest, &mut list)?;
            }
        }
        self.scratch.clear();
        self.scratch.shrink_to(SCRATCH_KEPT);
        Ok(if list.size <= max_size { Decoded::Whole } else { Decoded::TooLarge(list.size) })
    }

    /// Takes the size updates (RFC 7541 6.3) that a block begins with.
    fn size_updates(&mut self, rest: &mut &[u8]) -> Result<(), Error> {
        let mut updates = 0;
        while rest.first().is_some_and(|&first| is_size_update(first)) {
            updates += 1;
            if updates > MAX_SIZE_UPDATES {
                return Err(Error::SizeUpdates);
            }
            let size = integer::decode(rest, pattern::SIZE_UPDATE.1)?;
            if size > TABLE_SIZE {
                return Err(Error::SizeTooLarge(size));
            }
            self.table.set_max(size);
        }
        Ok(())
    }

    #[inline]
    fn indexed(&self, rest: &mut &[u8], list: &mut List<'_>) -> Result<(), Error> {
        let index = integer::decode(rest, pattern::INDEXED.1)?;
        let (name, value) = lookup(&self.table, index)?;
        list.push(name, value, Indexing::Incremental);
        Ok(())
    }

    fn literal(&mut self, first: u8, rest: &mut &[u8], list: &mut List<'_>) -> Result<(), Error> {
        let (indexing, bits) = literal_kind(first)?;
        let Self { table, scratch, .. } = self;
        scratch.clear();
        let index = integer::decode(rest, bits)?;
        let name = if index == 0 {
            string(rest, scratch)?
        } else if let Some((name, _)) = static_table::get(index) {
            Some(name)
        } else {
            // A copy: the field may evict the entry that has its name.
            scratch.extend_from_slice(lookup(table, index)?.0);
            None
        };
        let name_end = scratch.len();
        let value = string(rest, scratch)?;
        let (name_copy, value_copy) = scratch.split_at(name_end);
        let (name, value) = (name.unwrap_or(name_copy), value.unwrap_or(value_copy));
        list.push(name, value, indexing);
        if indexing == Indexing::Incremental {
            table.insert(name, value);
        }
        Ok(())
    }
}

#[inline]
fn is_size_update(first: u8) -> bool {
    let (pattern, bits) = pattern::SIZE_UPDATE;
    first >> bits == pattern >> bits
}

/// Returns how a literal says that it is to be indexed, and the bits of its index that are in its first byte.
fn literal_kind(first: u8) -> Result<(Indexing, u32), Error> {
    if first & pattern::INCREMENTAL.0 != 0 {
        Ok((Indexing::Incremental, pattern::INCREMENTAL.1))
    } else if is_size_update(first) {
        Err(Error::SizeLate)
    } else if first & pattern::NEVER.0 != 0 {
        Ok((Indexing::Never, pattern::NEVER.1))
    } else {
        Ok((Indexing::Without, pattern::WITHOUT.1))
    }
}

/// Returns the field at an index of both tables (RFC 7541 2.3.3).
#[inline]
fn lookup(table: &Table, index: usize) -> Result<(&[u8], &[u8]), Error> {
    match index.checked_sub(static_table::LEN + 1) {
        Some(index) => table.get(index),
        None => static_table::get(index),
    }
    .ok_or(Error::Index(index))
}

/// Takes a string off the block (RFC 7541 5.2): returned if it is there as it is, else appended to the scratch.
#[inline]
fn string<'b>(rest: &mut &'b [u8], scratch: &mut Vec<u8>) -> Result<Option<&'b [u8]>, Error> {
    let &first = rest.first().ok_or(Error::Truncated)?;
    let length = integer::decode(rest, pattern::RAW.1)?;
    let (string, behind) = rest.split_at_checked(length).ok_or(Error::Truncated)?;
    *rest = behind;
    if first & pattern::HUFFMAN.0 == 0 {
        return Ok(Some(string));
    }
    huffman::decode(string, scratch)?;
    Ok(None)
}

/// The list that fields go to, as long as they fit.
struct List<'f> {
    fields: &'f mut Fields,
    /// With those that were not kept.
    size: usize,
    max_size: usize,
}

impl List<'_> {
    #[inline]
    fn push(&mut self, name: &[u8], value: &[u8], indexing: Indexing) {
        self.size = self.size.saturating_add(name.len() + value.len() + FIELD_OVERHEAD);
        if self.size <= self.max_size {
            self.fields.push(name, value, indexing);
        }
    }
}

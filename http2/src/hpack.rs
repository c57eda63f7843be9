//! Header compression for HTTP/2 (RFC 7541).
//!
//! ```text
//!  block -> Decoder { table }        -> Fields
//!  block <- Encoder { table, index } <- Field, one after the other
//! ```
//!
//! Both sides of a connection have a [`Decoder`] and an [`Encoder`] of their own; their tables are in step with those
//! of the peer only as long as every block is decoded, in the order in which they came.

mod decoder;
mod encoder;
mod huffman;
mod huffman_code;
mod index;
mod integer;
mod static_table;
mod strings;
mod table;
#[cfg(test)]
mod tests;

pub use decoder::{Decoded, Decoder};
pub use encoder::Encoder;

/// Largest dynamic table either side keeps, in bytes as RFC 7541 4.1 counts them: the protocol's default
/// (RFC 9113 6.5.2), and all we ever use.
pub const TABLE_SIZE: usize = 4096;

/// The first bits of a field or an instruction (RFC 7541 6), and how many bits are left for the integer behind them.
mod pattern {
    /// Both the name and the value are in a table (6.1).
    pub(super) const INDEXED: (u8, u32) = (0x80, 7);
    /// Literal, to be put into the table (6.2.1).
    pub(super) const INCREMENTAL: (u8, u32) = (0x40, 6);
    /// The table's new size (6.3).
    pub(super) const SIZE_UPDATE: (u8, u32) = (0x20, 5);
    /// Literal, never to be indexed (6.2.3).
    pub(super) const NEVER: (u8, u32) = (0x10, 4);
    /// Literal, not put into the table (6.2.2).
    pub(super) const WITHOUT: (u8, u32) = (0x00, 4);
    /// A string in Huffman code (5.2).
    pub(super) const HUFFMAN: (u8, u32) = (0x80, 7);
    /// A string as it is (5.2).
    pub(super) const RAW: (u8, u32) = (0x00, 7);
}

/// A header block that cannot be decoded: COMPRESSION_ERROR, the connection must end (RFC 9113 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A reference to 0, or beyond the end of both tables (RFC 7541 2.3.3, 6.1).
    #[error("index {0} is in no table")]
    Index(usize),
    /// An integer is larger, or longer, than we read (RFC 7541 5.1).
    #[error("an integer is too large")]
    Integer,
    /// The block ends within a field.
    #[error("the block ends within a field")]
    Truncated,
    /// The bits after the last symbol of a Huffman string are more than 7, or not all ones (RFC 7541 5.2).
    #[error("a Huffman string is badly padded")]
    Padding,
    /// A Huffman string has the symbol EOS in it (RFC 7541 5.2).
    #[error("a Huffman string contains EOS")]
    Eos,
    /// The peer wants a table larger than [`TABLE_SIZE`], which we never allow (RFC 7541 6.3).
    #[error("a table of {0} bytes is larger than we allow")]
    SizeTooLarge(usize),
    /// A size update comes after a field (RFC 7541 4.2).
    #[error("a table size update comes after a field")]
    SizeLate,
    /// More size updates than anybody needs are at the start of a block; two are enough (RFC 7541 4.2).
    #[error("too many table size updates in a block")]
    SizeUpdates,
}

//! Tests of both sides together.

mod errors;
mod random;
mod rfc;
mod speed;
mod tables;

use super::{Decoded, Decoder, Encoder, Error};
use crate::fields::{Field, Fields, Indexing};

/// More than any list here.
const ROOMY: usize = 1 << 30;

/// A field that owns its strings.
type Owned = (Vec<u8>, Vec<u8>, Indexing);

fn owned(name: &str, value: &str, indexing: Indexing) -> Owned {
    (name.into(), value.into(), indexing)
}

fn list(fields: &Fields) -> Vec<Owned> {
    fields.iter().map(|f| (f.name.to_vec(), f.value.to_vec(), f.indexing)).collect()
}

/// Encodes a block of its own.
fn encode(encoder: &mut Encoder, fields: &[Owned]) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.begin(&mut block);
    for (name, value, indexing) in fields {
        encoder.field(Field { name, value, indexing: *indexing }, &mut block);
    }
    block
}

/// Decodes a block of its own, all of it.
fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Owned>, Error> {
    let mut fields = Fields::new();
    assert_eq!(decoder.decode(block, &mut fields, ROOMY)?, Decoded::Whole);
    Ok(list(&fields))
}

/// What the decoder's dynamic table has, newest first: by asking for one after the other.
fn table(decoder: &mut Decoder) -> Vec<Owned> {
    let mut entries = Vec::new();
    for index in 62.. {
        let mut block = Vec::new();
        super::integer::encode(super::pattern::INDEXED, index, &mut block);
        match decode(decoder, &block) {
            Ok(fields) => entries.extend(fields),
            Err(error) => {
                assert_eq!(error, Error::Index(index));
                break;
            }
        }
    }
    entries
}

/// Reads hexadecimal digits, in groups as RFC 7541 has them.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<_> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

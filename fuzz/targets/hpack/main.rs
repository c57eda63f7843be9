//! Header compression against two other implementations, by the first byte of the input: whatever bytes a peer sends,
//! ours decodes what `loona-hpack` does, or both refuse it; what our encoder writes, whatever a sender chooses and
//! however large the tables are, both `loona-hpack` and `httlib-hpack` read as it was; and ours reads what
//! `httlib-hpack` writes.
//!
//! Input: which of the three, then: a bound and blocks, each behind its length; or a script (`script.rs`).
#![no_main]

mod hostile;
mod ours;
mod script;
mod theirs;

use fuzz::Draw;
use http2::fields::{Fields, Indexing};
use http2::hpack::{Decoded, Decoder, Error, TABLE_SIZE};
use libfuzzer_sys::fuzz_target;
use loona_hpack::decoder::DecoderError;

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((0, data)) => hostile::run(Draw::new(data)),
        Some((1, script)) => ours::run(Draw::new(script)),
        Some((_, script)) => theirs::run(Draw::new(script)),
        None => {}
    }
});

/// Names and values.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// More than any list here.
const ROOMY: usize = 1 << 30;
/// The static table ends before it (RFC 7541 A).
const FIRST_DYNAMIC: u8 = 62;

/// What a field counts (RFC 7541 4.1).
fn size((name, value): &(Vec<u8>, Vec<u8>)) -> usize {
    name.len() + value.len() + 32
}

fn pairs(fields: &Fields) -> Pairs {
    fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

fn indexing(fields: &Fields) -> Vec<Indexing> {
    fields.iter().map(|field| field.indexing).collect()
}

/// All of a block.
fn decode_ours(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, Error> {
    let mut fields = Fields::new();
    assert_eq!(decoder.decode(block, &mut fields, ROOMY)?, Decoded::Whole);
    Ok(fields)
}

/// All of a block. That one must not end with a table's size, as loona has it, no RFC says.
fn decode_loona(
    decoder: &mut loona_hpack::Decoder<'_>,
    block: &[u8],
) -> Result<Pairs, DecoderError> {
    let mut list = Vec::new();
    let each = |name: std::borrow::Cow<'_, [u8]>, value: std::borrow::Cow<'_, [u8]>| {
        list.push((name.into_owned(), value.into_owned()));
    };
    match decoder.decode_with_cb(block, each) {
        Ok(()) | Err(DecoderError::SizeUpdateAtEnd) => Ok(list),
        Err(error) => Err(error),
    }
}

/// The tables of both decoders have the same entries, and no more than they may. Neither is of use afterwards.
fn check_tables(mut ours: Decoder, mut loona: loona_hpack::Decoder<'_>) {
    let mut total = 0;
    for index in FIRST_DYNAMIC.. {
        let block = match index.checked_sub(127) {
            Some(rest) => vec![0xff, rest],
            None => vec![0x80 | index],
        };
        let entry = decode_ours(&mut ours, &block);
        let loonas = decode_loona(&mut loona, &block);
        let Ok(entry) = entry else {
            assert!(loonas.is_err(), "an entry is missing: {loonas:?}");
            break;
        };
        let entry = pairs(&entry);
        assert_eq!(Ok(&entry), loonas.as_ref(), "at {index}");
        total += entry.iter().map(size).sum::<usize>();
    }
    assert!(total <= TABLE_SIZE, "a table of {total} bytes");
}

//! Any bytes.

use fuzz::Draw;
use http2::fields::Fields;
use http2::hpack::{Decoded, Decoder, Error, TABLE_SIZE};
use loona_hpack::decoder::{DecoderError, IntegerDecodingError};

use crate::{Pairs, check_tables, decode_loona, pairs, size};

/// Bounds of a list.
const BOUNDS: [usize; 6] = [0, 32, 100, 1000, 5000, 1 << 20];

/// Decodes blocks by both, up to the first that either refuses.
pub fn run(mut draw: Draw<'_>) {
    let bound = draw.one(&BOUNDS);
    let (mut ours, mut loona) = (Decoder::new(), loona_hpack::Decoder::new());
    loona.set_max_allowed_table_size(TABLE_SIZE);
    while !draw.is_empty() {
        let block = draw.bytes();
        let mut fields = Fields::new();
        let decoded = ours.decode(block, &mut fields, bound);
        let loonas = decode_loona(&mut loona, block);
        assert!(fields.size() <= bound, "a list of {} bytes", fields.size());
        match (decoded, loonas) {
            (Ok(decoded), Ok(list)) => check(decoded, &fields, &list, bound),
            (decoded, loonas) if may_differ(decoded, &loonas) => return,
            (decoded, loonas) => panic!("{decoded:?}, but {loonas:?}: {block:02x?}"),
        }
    }
    check_tables(ours, loona);
}

/// Both refuse it, or only one of them for a reason that is known: ours bears longer forms of an integer, and does not
/// bear tables' sizes behind a field, or very many of them.
fn may_differ(ours: Result<Decoded, Error>, loonas: &Result<Pairs, DecoderError>) -> bool {
    use DecoderError::IntegerDecodingError as Integer;
    match (ours, loonas) {
        (Err(_), Err(_)) => true,
        (Ok(_), Err(error)) => *error == Integer(IntegerDecodingError::TooManyOctets),
        (Err(error), Ok(_)) => matches!(error, Error::SizeLate | Error::SizeUpdates),
        (Ok(_), Ok(_)) => false,
    }
}

/// The list is what loona found, up to the first field that does not fit.
fn check(decoded: Decoded, fields: &Fields, list: &Pairs, bound: usize) {
    let mut total = 0;
    let fitting = list.iter().take_while(|pair| {
        total += size(pair);
        total <= bound
    });
    let fitting: Pairs = fitting.cloned().collect();
    assert_eq!(pairs(fields), fitting, "the fields that fit");
    let total = list.iter().map(size).sum();
    let expected = if total <= bound { Decoded::Whole } else { Decoded::TooLarge(total) };
    assert_eq!(decoded, expected);
}

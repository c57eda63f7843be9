//! What goes into the tables, what leaves them, and that both sides agree.

use super::*;
use Indexing::{Incremental, Never, Without};

#[test]
fn a_choice_is_repeated() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let fields = [
        owned("x-a", "1", Incremental),
        owned("x-b", "2", Without),
        owned("x-c", "3", Never),
        // The table's pairs must not be used for these, nor the static one for the second.
        owned("x-a", "1", Without),
        owned(":method", "GET", Never),
    ];
    let first = encode(&mut encoder, &fields);
    assert_eq!(decode(&mut decoder, &first), Ok(fields.to_vec()));
    let second = encode(&mut encoder, &fields);
    assert_eq!(decode(&mut decoder, &second), Ok(fields.to_vec()));
    assert_eq!(second[..1], [0xbe]);
    assert_eq!(table(&mut decoder), fields[..1]);
}

#[test]
fn a_reference_to_the_static_table_needs_no_choice() {
    let block = encode(&mut Encoder::new(), &[owned(":method", "GET", Without)]);
    assert_eq!(block, [0x82]);
}

/// RFC 7541 4.4: the name that a literal refers to may be of the entry that it evicts.
#[test]
fn a_name_outlives_its_entry() {
    let mut decoder = Decoder::new();
    // A table of 64 bytes has room for one of these.
    let block = hex("3f21 40 0478 2d61 61 0131 7e 0132 7e 0133");
    let fields = decode(&mut decoder, &block).unwrap();
    let expected = ["1", "2", "3"].map(|value| owned("x-aa", value, Incremental));
    assert_eq!(fields, expected);
    assert_eq!(table(&mut decoder), expected[2..]);
    // The same through the encoder.
    let mut encoder = Encoder::new();
    encoder.set_max_size(64);
    assert_eq!(encode(&mut encoder, &expected), hex("3f21 40 83 f2b0 c7 0131 7e 0132 7e 0133"));
}

#[test]
fn what_cannot_fit_leaves_the_table_alone() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let small = owned("x", "1", Incremental);
    let fits = owned("", &"v".repeat(4096 - 32), Incremental);
    let large = owned("", &"v".repeat(4096 - 31), Incremental);
    let block = encode(&mut encoder, &[small.clone(), large.clone(), small.clone()]);
    let mut expected = vec![small.clone(), large, small.clone()];
    expected[1].2 = Without;
    assert_eq!(decode(&mut decoder, &block), Ok(expected));
    assert_eq!(table(&mut decoder), std::slice::from_ref(&small));
    let block = encode(&mut encoder, &[small.clone(), fits.clone()]);
    assert_eq!(decode(&mut decoder, &block), Ok(vec![small, fits.clone()]));
    assert_eq!(table(&mut decoder), [fits]);
}

/// A peer may put something in that does not fit: that empties the table (RFC 7541 4.4).
#[test]
fn what_does_not_fit_empties_the_decoders_table() {
    let mut decoder = Decoder::new();
    decode(&mut decoder, &hex("3f21 40 0161 0162")).unwrap();
    assert_eq!(table(&mut decoder).len(), 1);
    let mut block = hex("40 0161 20");
    block.extend([b'v'; 32]);
    decode(&mut decoder, &block).unwrap();
    assert_eq!(table(&mut decoder), []);
}

fn begun(encoder: &mut Encoder) -> Vec<u8> {
    encode(encoder, &[])
}

#[test]
fn sizes_are_announced_once() {
    let mut encoder = Encoder::new();
    encoder.set_max_size(4096);
    encoder.set_max_size(1 << 20);
    assert_eq!(begun(&mut encoder), []);
    encoder.set_max_size(10);
    assert_eq!(begun(&mut encoder), [0x2a]);
    assert_eq!(begun(&mut encoder), []);
    encoder.set_max_size(20);
    encoder.set_max_size(15);
    assert_eq!(begun(&mut encoder), [0x2f]);
    encoder.set_max_size(u32::MAX);
    assert_eq!(begun(&mut encoder), hex("3f e11f"));
}

/// RFC 7541 4.2.
#[test]
fn lowered_and_raised_is_announced_as_both() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let field = owned("x", "1", Incremental);
    decode(&mut decoder, &encode(&mut encoder, std::slice::from_ref(&field))).unwrap();
    for size in [100, 5, 30, 4096] {
        encoder.set_max_size(size);
    }
    let block = encode(&mut encoder, std::slice::from_ref(&field));
    assert_eq!(block[..4], hex("25 3fe1 1f"));
    assert_eq!(block[4], 0x40, "the entry has gone");
    assert_eq!(decode(&mut decoder, &block), Ok(vec![field.clone()]));
    assert_eq!(table(&mut decoder), [field]);
}

#[test]
fn a_list_that_is_too_large_is_decoded_but_not_kept() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let all: Vec<_> = (0..4).map(|n| owned("name", &n.to_string(), Incremental)).collect();
    let block = encode(&mut encoder, &all);
    let mut fields = Fields::new();
    fields.push(b"before", b"", Never);
    let (before, each) = (fields.size(), 32 + 5);
    let decoded = decoder.decode(&block, &mut fields, before + 2 * each);
    assert_eq!(decoded, Ok(Decoded::TooLarge(before + 4 * each)));
    assert_eq!(list(&fields)[1..], all[..2]);
    // The table is in step: references do, and exactly the size is enough.
    fields.clear();
    let block = encode(&mut encoder, &all);
    assert_eq!(block.len(), 4);
    assert_eq!(decoder.decode(&block, &mut fields, 4 * each), Ok(Decoded::Whole));
    assert_eq!(list(&fields), all);
}

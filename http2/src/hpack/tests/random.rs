//! Random fields through both sides, and random bytes into the decoder.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{TABLE_SIZE, static_table};
use super::*;

/// One thing that happens on a connection.
#[derive(Clone, Debug)]
enum Step {
    Block(Vec<Owned>),
    Resize(u32),
}

fn indexing() -> impl Strategy<Value = Indexing> {
    prop_oneof![
        4 => Just(Indexing::Incremental),
        1 => Just(Indexing::Without),
        1 => Just(Indexing::Never),
    ]
}

/// Known ones, few others again and again, and anything.
fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (1..=static_table::LEN).prop_map(|index| static_table::get(index).unwrap().0.to_vec()),
        (0..6_u8).prop_map(|n| format!("x-name-{n}").into_bytes()),
        vec(any::<u8>(), 0..20),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (1..=static_table::LEN).prop_map(|index| static_table::get(index).unwrap().1.to_vec()),
        8 => (0..6_u8).prop_map(|n| n.to_string().into_bytes()),
        4 => vec(any::<u8>(), 0..60),
        1 => (any::<u8>(), 0..5000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let block = vec((name(), value(), indexing()), 0..12).prop_map(Step::Block);
    let resize = prop_oneof![0..300_u32, 3000..5000_u32].prop_map(Step::Resize);
    vec(prop_oneof![4 => block, 1 => resize], 0..25)
}

/// What the decoder is to say of a field, given the size of the encoder's table.
fn expected((name, value, indexing): &Owned, max: usize) -> Owned {
    let known = static_table::find(name, value);
    let known = matches!(known, Some(static_table::Found::Pair(_)));
    let fits = name.len() + value.len() + 32 <= max;
    let indexing = match indexing {
        Indexing::Without if known => Indexing::Incremental,
        Indexing::Incremental if !known && !fits => Indexing::Without,
        indexing => *indexing,
    };
    (name.clone(), value.clone(), indexing)
}

proptest! {
    #[test]
    fn fields_come_back(steps in steps()) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let mut max = TABLE_SIZE;
        for step in steps {
            match step {
                Step::Resize(size) => {
                    max = TABLE_SIZE.min(size as usize);
                    encoder.set_max_size(size);
                }
                Step::Block(fields) => {
                    let block = encode(&mut encoder, &fields);
                    let expected: Vec<_> = fields.iter().map(|f| expected(f, max)).collect();
                    prop_assert_eq!(decode(&mut decoder, &block), Ok(expected));
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(
        blocks in vec(vec(any::<u8>(), 0..200), 1..5),
        max_size in 0..2000_usize,
    ) {
        let mut decoder = Decoder::new();
        for block in blocks {
            let mut fields = Fields::new();
            let decoded = decoder.decode(&block, &mut fields, max_size);
            prop_assert!(fields.size() <= max_size);
            if decoded.is_err() {
                break;
            }
        }
    }

    /// Closer to what is right: a good block with a few bytes changed.
    #[test]
    fn a_damaged_block_is_decoded_or_refused(
        fields in vec((name(), value(), indexing()), 1..12),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut block = encode(&mut Encoder::new(), &fields);
        for (at, byte) in damage {
            let at = at.index(block.len());
            block[at] = byte;
        }
        let mut decoder = Decoder::new();
        let mut fields = Fields::new();
        for _ in 0..2 {
            if decoder.decode(&block, &mut fields, 10_000).is_err() {
                break;
            }
        }
        prop_assert!(fields.size() <= 10_000);
    }

    #[test]
    fn huffman_code_comes_back(string in vec(any::<u8>(), 0..300)) {
        let (mut code, mut back) = (Vec::new(), Vec::new());
        super::super::huffman::encode(&string, &mut code);
        prop_assert_eq!(code.len(), super::super::huffman::encoded_len(&string));
        prop_assert_eq!(super::super::huffman::decode(&code, &mut back), Ok(()));
        prop_assert_eq!(back, string);
    }
}

/// Each byte, beside each that has a code of another length.
#[test]
fn every_byte_comes_back_in_huffman_code() {
    for byte in 0..=255_u8 {
        for other in [b'a', b' ', b'z', b'&', b'!', b'|', 0, 1, 10] {
            let (mut code, mut back) = (Vec::new(), Vec::new());
            super::super::huffman::encode(&[other, byte, byte, other], &mut code);
            super::super::huffman::decode(&code, &mut back).unwrap();
            assert_eq!(back, [other, byte, byte, other]);
        }
    }
}

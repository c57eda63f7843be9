//! What another encoder writes, read by ours.

use fuzz::Draw;
use httlib_hpack::Encoder;
use http2::fields::Indexing;
use http2::hpack::{Decoder, TABLE_SIZE};

use crate::script::{self, Line};
use crate::{Pairs, check_tables, decode_loona, decode_ours, indexing, pairs};

/// Sizes that an encoder may choose.
const SIZES: [u32; 8] = [0, 31, 32, 100, 500, 1000, 4095, TABLE_SIZE as u32];
/// All that an encoder may choose of a field.
const CHOICES: u8 = Encoder::HUFFMAN_NAME
    | Encoder::HUFFMAN_VALUE
    | Encoder::WITH_INDEXING
    | Encoder::NEVER_INDEXED
    | Encoder::BEST_FORMAT;

/// Encodes blocks, and checks that ours reads each.
pub fn run(mut draw: Draw<'_>) {
    let mut encoder = Encoder::with_dynamic_size(TABLE_SIZE as u32);
    let mut ours = Decoder::new();
    // Slow, so only for some inputs.
    let mut loona = (draw.below(8) == 0).then(loona_hpack::Decoder::new);
    for _ in 0..script::BLOCKS_MAX {
        if draw.is_empty() {
            break;
        }
        let mut block = Vec::new();
        for size in script::sizes(&mut draw, &SIZES) {
            encoder.update_max_dynamic_size(size, &mut block).expect("a size");
        }
        let lines = script::lines(&mut draw);
        for Line { name, value, how } in &lines {
            let field = (name.clone(), value.clone(), how & CHOICES);
            encoder.encode(field, &mut block).expect("a field");
        }
        check(&mut ours, &lines, &block);
        if let Some(loona) = &mut loona {
            let said: Pairs = lines.into_iter().map(|line| (line.name, line.value)).collect();
            assert_eq!(decode_loona(loona, &block), Ok(said), "read by loona");
        }
    }
    if let Some(loona) = loona {
        check_tables(ours, loona);
    }
}

fn check(ours: &mut Decoder, lines: &[Line], block: &[u8]) {
    let fields = decode_ours(ours, block).expect("ours");
    let list = pairs(&fields);
    assert_eq!(list.len(), lines.len());
    for ((line, pair), got) in lines.iter().zip(list).zip(indexing(&fields)) {
        assert_eq!(pair, (line.name.clone(), line.value.clone()), "read by ours");
        let literal = if line.how & Encoder::WITH_INDEXING != 0 {
            Indexing::Incremental
        } else if line.how & Encoder::NEVER_INDEXED != 0 {
            Indexing::Never
        } else {
            Indexing::Without
        };
        // With the best format it may be a reference.
        let may_refer = line.how & Encoder::BEST_FORMAT != 0 && got == Indexing::Incremental;
        assert!(got == literal || may_refer, "{line:?} as {got:?}");
    }
}

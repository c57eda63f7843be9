//! What our encoder writes, read by everybody.

use fuzz::Draw;
use http2::fields::{Field, Indexing};
use http2::hpack::{Decoder, Encoder, TABLE_SIZE};

use crate::script::{self, Line};
use crate::{Pairs, check_tables, decode_loona, decode_ours, indexing, pairs};

/// What a peer may say of its table.
const SIZES: [u32; 9] = [0, 31, 32, 100, 500, 4095, 4096, 4097, u32::MAX];

/// The peer's decoders, and what has been said of its table.
struct Peer {
    ours: Decoder,
    /// Slow, so only for some inputs.
    loona: Option<loona_hpack::Decoder<'static>>,
    httlib: httlib_hpack::Decoder<'static>,
    /// The size that the table has at the peer.
    size: usize,
}

/// Encodes blocks, and checks each.
pub fn run(mut draw: Draw<'_>) {
    let mut encoder = Encoder::new();
    let mut peer = Peer {
        ours: Decoder::new(),
        loona: (draw.below(8) == 0).then(loona_hpack::Decoder::new),
        httlib: httlib_hpack::Decoder::with_dynamic_size(TABLE_SIZE as u32),
        size: TABLE_SIZE,
    };
    for _ in 0..script::BLOCKS_MAX {
        if draw.is_empty() {
            break;
        }
        let sizes = script::sizes(&mut draw, &SIZES);
        sizes.iter().for_each(|size| encoder.set_max_size(*size));
        let lines = script::lines(&mut draw);
        let mut block = Vec::new();
        encoder.begin(&mut block);
        for line in &lines {
            let Line { name, value, .. } = line;
            encoder.field(Field { name, value, indexing: wanted(line) }, &mut block);
        }
        peer.check_sizes(&sizes, &block);
        peer.check(&lines, &block);
    }
    if let Some(loona) = peer.loona {
        check_tables(peer.ours, loona);
    }
}

fn wanted(line: &Line) -> Indexing {
    [Indexing::Incremental, Indexing::Incremental, Indexing::Without, Indexing::Never]
        [usize::from(line.how % 4)]
}

impl Peer {
    /// The table becomes no larger than it may be, and as small as it had to be in between (RFC 7541 4.2).
    fn check_sizes(&mut self, sizes: &[u32], block: &[u8]) {
        let told = updates(block);
        let Some(last) = sizes.last() else {
            assert!(told.is_empty(), "a size that nobody asked for: {told:?}");
            return;
        };
        let least = sizes.iter().min().unwrap_or(last);
        assert!(told.len() <= 2, "{told:?}");
        let smallest = told.iter().copied().min().unwrap_or(self.size).min(self.size);
        assert!(smallest <= *least as usize, "{sizes:?}, but {told:?}");
        self.size = told.last().copied().unwrap_or(self.size);
        assert!(self.size <= *last as usize, "{sizes:?}, but {told:?}");
        if let Some(loona) = &mut self.loona {
            loona.set_max_allowed_table_size(*last as usize);
        }
        self.httlib.set_max_dynamic_size(*last);
    }

    fn check(&mut self, lines: &[Line], block: &[u8]) {
        let said: Pairs =
            lines.iter().map(|line| (line.name.clone(), line.value.clone())).collect();
        let fields = decode_ours(&mut self.ours, block).expect("ours");
        assert_eq!(pairs(&fields), said, "read by ours");
        for (line, got) in lines.iter().zip(indexing(&fields)) {
            let is_right = match wanted(line) {
                Indexing::Never => got == Indexing::Never,
                // A reference into the static table may be one.
                Indexing::Without | Indexing::Incremental => got != Indexing::Never,
            };
            assert!(is_right, "{line:?} as {got:?}");
        }
        if let Some(loona) = &mut self.loona {
            assert_eq!(decode_loona(loona, block), Ok(said.clone()), "read by loona");
        }
        self.check_httlib(lines, &said, block);
    }

    fn check_httlib(&mut self, lines: &[Line], said: &Pairs, block: &[u8]) {
        let mut list = Vec::new();
        self.httlib.decode(&mut block.to_vec(), &mut list).expect("httlib");
        let kinds = list.iter().map(|(.., kind)| *kind);
        for (line, kind) in lines.iter().zip(kinds) {
            let is_never = kind & httlib_hpack::Decoder::NEVER_INDEXED != 0;
            let is_put = kind & httlib_hpack::Decoder::WITH_INDEXING != 0;
            assert_eq!(is_never, wanted(line) == Indexing::Never, "{line:?}");
            assert!(!is_put || wanted(line) == Indexing::Incremental, "{line:?} is put into it");
        }
        let list: Pairs = list.into_iter().map(|(name, value, _)| (name, value)).collect();
        assert_eq!(list, *said, "read by httlib");
    }
}

/// The sizes that a block begins with (RFC 7541 6.3), read as 5.1 has it.
fn updates(mut block: &[u8]) -> Vec<usize> {
    let mut sizes = Vec::new();
    while let [first @ 0x20..0x40, rest @ ..] = block {
        block = rest;
        let mut size = usize::from(first & 0x1f);
        if size == 0x1f {
            let end = block.iter().position(|byte| byte & 0x80 == 0).expect("an end");
            let octets = block[..=end].iter().enumerate();
            size += octets.map(|(at, octet)| usize::from(octet & 0x7f) << (7 * at)).sum::<usize>();
            block = &block[end + 1..];
        }
        sizes.push(size);
    }
    sizes
}

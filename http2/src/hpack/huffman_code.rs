//! The Huffman code (RFC 7541 B), and the tables to read and write it, all made at compile time.
//!
//! The code is canonical: codes of one length follow each other in the order of their symbols, and shorter ones come
//! first. So the lengths say all.

/// The symbol that must not be sent; what pads a string are its first bits.
const EOS: usize = 256;
/// Symbols, EOS included.
const SYMBOLS: usize = EOS + 1;
/// The longest code.
const LONGEST: u32 = 30;

/// How many bits each symbol's code has.
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, // 0x00
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, // 0x10
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, // 0x20
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, // 0x30
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, // 0x40
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, // 0x50
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, // 0x60
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, // 0x70
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, // 0x80
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, // 0x90
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, // 0xa0
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, // 0xb0
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, // 0xc0
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, // 0xd0
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, // 0xe0
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, // 0xf0
    30, // EOS
];

/// A symbol's code.
#[derive(Clone, Copy)]
pub(super) struct Code {
    /// The code, in the low bits.
    pub(super) bits: u32,
    /// How many bits it has.
    pub(super) length: u32,
}

/// What each byte is in the code.
pub(super) static CODES: [Code; 256] = {
    let all = codes();
    let mut codes = [Code { bits: 0, length: 0 }; 256];
    let mut symbol = 0;
    while symbol < codes.len() {
        codes[symbol] = all[symbol];
        symbol += 1;
    }
    codes
};

/// How many bits each byte has in the code: denser than [`CODES`], for measuring.
pub(super) static BITS: [u8; 256] = {
    let mut bits = [0; 256];
    let mut symbol = 0;
    while symbol < bits.len() {
        bits[symbol] = LENGTHS[symbol];
        symbol += 1;
    }
    bits
};

const fn codes() -> [Code; SYMBOLS] {
    let mut codes = [Code { bits: 0, length: 0 }; SYMBOLS];
    let mut next = 0;
    let mut length = 1;
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as u32 == length {
                codes[symbol] = Code { bits: next, length };
                next += 1;
            }
            symbol += 1;
        }
        next <<= 1;
        length += 1;
    }
    // Each code of the greatest length is taken: the code is complete, so no bits at all are in no code.
    assert!(next == 1 << (LONGEST + 1));
    codes
}

/// What to do with the next 8 bits: a symbol ends within them, or another node of the tree has the answer.
///
/// From the low bits: how many bits are used up (4 bits), whether a node or EOS is reached, and from bit 8 on the
/// symbol or the node. A shift by the lowest bits is what reading waits for, so they are where they need no shift
/// themselves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Step(u16);

/// Where a [`Step`] leads.
pub(super) enum Reached {
    /// The end of this symbol's code.
    Symbol(u8),
    /// The end of the code of EOS.
    End,
    /// A node that the next 8 bits are for.
    Node(usize),
}

impl Step {
    const BITS: u16 = 0xf;
    const NODE: u16 = 1 << 4;
    const END: u16 = 1 << 5;

    /// How many bits are used up: 1 to 8.
    #[inline]
    pub(super) const fn bits(self) -> u32 {
        (self.0 & Self::BITS) as u32
    }

    /// Where it leads.
    #[inline]
    pub(super) const fn reached(self) -> Reached {
        match self.0 & (Self::NODE | Self::END) {
            0 => Reached::Symbol((self.0 >> 8) as u8),
            Self::NODE => Reached::Node((self.0 >> 8) as usize),
            _ => Reached::End,
        }
    }

    const fn to_symbol(symbol: usize, bits: u32) -> Self {
        if symbol == EOS {
            return Self(Self::END | bits as u16);
        }
        Self((symbol as u16) << 8 | bits as u16)
    }

    const fn to_node(node: usize) -> Self {
        Self((node as u16) << 8 | Self::NODE | 8)
    }
}

/// Nodes that the tree has: one for each whole-byte beginning of a code.
const NODES: usize = 15;
/// The same as a power of two, so that a mask keeps an index inside.
const NODE_SLOTS: usize = NODES.next_power_of_two();

/// The code as a tree whose nodes have a branch for each value of a byte. Node 0 is its root.
///
/// Bits are the other way round, 0 for 1: then what a shift leaves behind is padding, and right.
pub(super) static TREE: [[Step; 256]; NODE_SLOTS] = {
    const UNSET: Step = Step(0);
    let codes = codes();
    let mut tree = [[UNSET; 256]; NODE_SLOTS];
    let mut nodes = 1;
    let mut symbol = 0;
    while symbol < SYMBOLS {
        let Code { bits, mut length } = codes[symbol];
        let mut node = 0;
        while length > 8 {
            length -= 8;
            let byte = (!bits >> length & 0xff) as usize;
            if tree[node][byte].0 == UNSET.0 {
                tree[node][byte] = Step::to_node(nodes);
                nodes += 1;
            }
            node = (tree[node][byte].0 >> 8) as usize;
        }
        // What follows the code's last bits within the byte may be anything.
        let mut byte = ((!bits << (8 - length)) & 0xff) as usize;
        let end = byte + (1 << (8 - length));
        while byte < end {
            tree[node][byte] = Step::to_symbol(symbol, length);
            byte += 1;
        }
        symbol += 1;
    }
    assert!(nodes == NODES);
    tree
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_complete() {
        let kraft: u64 = LENGTHS.iter().map(|&length| 1 << (LONGEST - u32::from(length))).sum();
        assert_eq!(kraft, 1 << LONGEST);
    }

    /// Some of RFC 7541 B, of every length that a common byte has.
    #[test]
    fn codes_are_those_of_the_rfc() {
        for (byte, bits, length) in [
            (b'0', 0x0, 5),
            (b't', 0x9, 5),
            (b' ', 0x14, 6),
            (b'u', 0x2d, 6),
            (b':', 0x5c, 7),
            (b'z', 0x7b, 7),
            (b'&', 0xf8, 8),
            (b'Z', 0xfd, 8),
            (b'!', 0x3f8, 10),
            (b'|', 0x7fc, 11),
            (b'#', 0xffa, 12),
            (b'~', 0x1ffd, 13),
            (b'}', 0x3ffd, 14),
            (b'{', 0x7ffe, 15),
            (b'\\', 0x7fff0, 19),
            (0x80, 0xf_ffe6, 20),
            (1, 0x7f_ffd8, 23),
            (b'\t', 0xff_ffea, 24),
            (255, 0x3ff_ffee, 26),
            (249, 0xfff_fffe, 28),
            (22, 0x3fff_fffe, 30),
        ] {
            let code = CODES[usize::from(byte)];
            assert_eq!((code.bits, code.length), (bits, length), "{byte:#x}");
        }
    }

    #[test]
    fn every_branch_of_the_tree_leads_somewhere() {
        for node in &TREE[..NODES] {
            assert!(node.iter().all(|step| (1..=8).contains(&step.bits())));
        }
    }
}

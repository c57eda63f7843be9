//! Strings in Huffman code (RFC 7541 5.2).

use super::Error;
use super::huffman_code::{BITS, CODES, Reached, TREE};

/// The shortest code has 5 bits.
const SHORTEST: usize = 5;

/// How many bytes a string has in Huffman code.
pub(super) fn encoded_len(string: &[u8]) -> usize {
    let bits: usize = string.iter().map(|&byte| usize::from(BITS[usize::from(byte)])).sum();
    bits.div_ceil(8)
}

/// Appends a string in Huffman code.
pub(super) fn encode(string: &[u8], block: &mut Vec<u8>) {
    let (mut bits, mut count) = (0_u64, 0);
    for &byte in string {
        // Fewer than 32 bits wait, and no code has more than 30.
        let code = CODES[usize::from(byte)];
        bits = bits << code.length | u64::from(code.bits);
        count += code.length;
        if count >= 32 {
            count -= 32;
            block.extend_from_slice(&((bits >> count) as u32).to_be_bytes());
        }
    }
    // At most 31 bits wait: with ones behind them, the beginning of EOS, they are whole bytes.
    let padded = bits << 32 | 0xffff_ffff;
    let bytes = ((padded >> count) as u32).to_be_bytes();
    block.extend(bytes.into_iter().take(count.div_ceil(8) as usize));
}

/// Appends the string that this Huffman code says: at most 8/5 as many bytes.
///
/// # Errors
///
/// [`Error::Padding`] if more than 7 bits, or not ones, follow the last symbol; [`Error::Eos`] if EOS is a symbol.
pub(super) fn decode(code: &[u8], string: &mut Vec<u8>) -> Result<(), Error> {
    string.reserve(code.len() * 8 / SHORTEST);
    // Bits stand at the top, 0 for 1: so that ones follow them, as padding has it.
    let (mut bits, mut count) = (0_u64, 0);
    let (mut rest, mut node) = (code, 0);
    loop {
        if count < 8 {
            refill(&mut rest, &mut bits, &mut count);
        }
        let step = TREE[node & (TREE.len() - 1)][(bits >> 56) as usize];
        let used = step.bits();
        if used > count {
            break;
        }
        bits <<= used;
        count -= used;
        node = match step.reached() {
            Reached::Symbol(symbol) => {
                string.push(symbol);
                0
            }
            Reached::Node(node) => node,
            Reached::End => return Err(Error::Eos),
        };
    }
    // Where a node waits for more, 8 bits are gone already.
    if node == 0 && bits == 0 { Ok(()) } else { Err(Error::Padding) }
}

/// Puts whole bytes behind the `count` bits, fewer than 8, that are left.
#[inline]
fn refill(rest: &mut &[u8], bits: &mut u64, count: &mut u32) {
    if let Some((chunk, behind)) = rest.split_first_chunk::<4>() {
        *bits |= u64::from(!u32::from_be_bytes(*chunk)) << 32 >> *count;
        *count += 32;
        *rest = behind;
        return;
    }
    for &byte in *rest {
        *bits |= u64::from(!byte) << 56 >> *count;
        *count += 8;
    }
    *rest = &[];
}

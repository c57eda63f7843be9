//! Integers with a prefix (RFC 7541 5.1).

use super::Error;

/// Largest integer we read: far above every length and index that can be right.
const MAX: usize = 1 << 28;
/// Most octets we read after the prefix; so many hold [`MAX`].
const MAX_CONTINUATIONS: u32 = 5;

/// Takes the first byte off the block.
///
/// # Errors
///
/// [`Error::Truncated`] if there is none.
#[inline]
pub(super) fn take_byte(rest: &mut &[u8]) -> Result<u8, Error> {
    let (&byte, behind) = rest.split_first().ok_or(Error::Truncated)?;
    *rest = behind;
    Ok(byte)
}

/// Takes an integer off the block whose first octet has `bits` bits of it, 1 to 8.
///
/// # Errors
///
/// [`Error::Truncated`] if the block ends first, [`Error::Integer`] if it is too large or too long.
#[inline]
pub(super) fn decode(rest: &mut &[u8], bits: u32) -> Result<usize, Error> {
    let mask = (1_usize << bits) - 1;
    let prefix = usize::from(take_byte(rest)?) & mask;
    if prefix < mask { Ok(prefix) } else { continued(rest, prefix) }
}

fn continued(rest: &mut &[u8], prefix: usize) -> Result<usize, Error> {
    // 35 bits and a prefix: too many for the usize of a small machine.
    let mut value = prefix as u64;
    for octet in 0..MAX_CONTINUATIONS {
        let byte = take_byte(rest)?;
        value += u64::from(byte & 0x7f) << (7 * octet);
        if byte & 0x80 == 0 {
            return if value <= MAX as u64 { Ok(value as usize) } else { Err(Error::Integer) };
        }
    }
    Err(Error::Integer)
}

/// Writes an integer behind a pattern: the pattern's bits and how many bits its octet has left, 1 to 8.
#[inline]
pub(super) fn encode((pattern, bits): (u8, u32), value: usize, block: &mut Vec<u8>) {
    let mask = (1_usize << bits) - 1;
    if value < mask {
        block.push(pattern | value as u8);
        return;
    }
    block.push(pattern | mask as u8);
    let mut left = value - mask;
    while left >= 0x80 {
        block.push(left as u8 | 0x80);
        left >>= 7;
    }
    block.push(left as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(bits: u32, value: usize) -> Vec<u8> {
        let mut block = Vec::new();
        encode((0, bits), value, &mut block);
        block
    }

    fn decoded(mut block: &[u8], bits: u32) -> Result<usize, Error> {
        decode(&mut block, bits)
    }

    /// RFC 7541 C.1.
    #[test]
    fn the_examples_of_the_rfc() {
        for (bits, value, bytes) in
            [(5, 10, &[0b01010][..]), (5, 1337, &[0b11111, 0x9a, 0x0a]), (8, 42, &[0b10_1010])]
        {
            assert_eq!(encoded(bits, value), bytes);
            assert_eq!(decoded(bytes, bits), Ok(value));
        }
    }

    #[test]
    fn the_bits_before_the_prefix_do_not_count() {
        assert_eq!(decoded(&[0xea], 5), Ok(10));
    }

    #[test]
    fn borders_come_back() {
        for bits in 1..=8 {
            for value in [0, 1, 2, 14, 15, 16, 30, 31, 127, 128, 254, 255, 16_383, MAX - 1, MAX] {
                assert_eq!(decoded(&encoded(bits, value), bits), Ok(value), "{bits} {value}");
            }
            assert_eq!(decoded(&encoded(bits, MAX + 1), bits), Err(Error::Integer));
        }
    }

    #[test]
    fn too_long_is_an_error_even_if_it_is_small() {
        assert_eq!(decoded(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x00], 5), Ok(31));
        assert_eq!(decoded(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 5), Err(Error::Integer));
        assert_eq!(decoded(&[0x1f, 0xff, 0xff, 0xff, 0xff, 0x7f], 5), Err(Error::Integer));
    }

    #[test]
    fn cut_off_is_an_error() {
        assert_eq!(decoded(&[], 5), Err(Error::Truncated));
        assert_eq!(decoded(&[0x1f], 5), Err(Error::Truncated));
        assert_eq!(decoded(&[0x1f, 0x80], 5), Err(Error::Truncated));
    }
}

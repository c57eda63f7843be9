//! Comparing and hashing strings that are mostly short, without a call or a loop.

/// Returns whether two strings are the same.
#[inline]
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    // Up to 16 bytes, the ends are all there is.
    one.len() == other.len() && ends(one) == ends(other) && (one.len() <= 16 || one == other)
}

/// Hashes a string's length, its beginning and its end, so that the top bits count.
///
/// The same time for all strings is worth more here than few collisions: each costs a look at one more entry, and a
/// table has few.
#[inline]
pub(super) fn hash(string: &[u8]) -> u64 {
    // Odd, and their bits are spread.
    const FACTORS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03];
    let (first, last) = ends(string);
    (first ^ string.len() as u64).wrapping_mul(FACTORS[0]) ^ last.wrapping_mul(FACTORS[1])
}

/// Returns the first and the last 8 bytes, or as much as there is: they overlap in strings of fewer than 16.
#[inline]
fn ends(string: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (string.first_chunk(), string.last_chunk()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    if let (Some(first), Some(last)) = (string.first_chunk(), string.last_chunk()) {
        return (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into());
    }
    match *string {
        [] => (0, 0),
        [one] => (one.into(), 0),
        [one, two] => (one.into(), two.into()),
        [one, two, three, ..] => (one.into(), u64::from(two) << 8 | u64::from(three)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        for length in 0..40 {
            let string: Vec<u8> = (1..=length).collect();
            assert!(is_same(&string, &string.clone()));
            assert_eq!(hash(&string), hash(&string.clone()));
            for at in 0..string.len() {
                let mut other = string.clone();
                other[at] ^= 0x80;
                assert!(!is_same(&string, &other));
                assert!(!is_same(&string, &string[..at]));
            }
        }
    }
}

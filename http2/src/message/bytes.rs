//! Which bytes may be where.

/// A field's name: a token without capitals (RFC 9113 8.2.1, RFC 9110 5.6.2).
pub(super) const NAME: u8 = 1;
/// A token (RFC 9110 5.6.2).
pub(super) const TOKEN: u8 = 1 << 1;
/// A scheme after its first letter (RFC 3986 3.1).
pub(super) const SCHEME: u8 = 1 << 2;
/// A host and port: all of RFC 3986 3.2 but the `@` of user information.
pub(super) const AUTHORITY: u8 = 1 << 3;
/// A path and query. Bytes beyond ASCII pass, which clients do send.
pub(super) const PATH: u8 = 1 << 4;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let mut class = 0;
        if b.is_ascii_alphanumeric() {
            class |= TOKEN | SCHEME | AUTHORITY;
        }
        if is_in(b, b"!#$%&'*+-.^_`|~") {
            class |= TOKEN;
        }
        if class & TOKEN != 0 && !b.is_ascii_uppercase() {
            class |= NAME;
        }
        if is_in(b, b"+-.") {
            class |= SCHEME;
        }
        if is_in(b, b"-._~%!$&'()*+,;=:[]") {
            class |= AUTHORITY;
        }
        if b > b' ' && b != b'#' && b != 0x7f {
            class |= PATH;
        }
        classes[byte] = class;
        byte += 1;
    }
    classes
}

const fn is_in(byte: u8, set: &[u8]) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

/// Returns whether all bytes are of a class; of none, too.
#[inline]
pub(super) fn all(bytes: &[u8], class: u8) -> bool {
    // Without a branch for each byte: nearly all that comes is right.
    bytes.iter().fold(class, |left, byte| left & CLASSES[usize::from(*byte)]) != 0
}

/// Returns whether a field may have this value: no control characters but tabs, and no space or tab at either end (RFC
/// 9113 8.2.1, RFC 9110 5.5). Not DEL either: `h2` 0.4 takes it for broken compression and ends the whole connection.
#[inline]
pub(super) fn is_value(value: &[u8]) -> bool {
    let padded = matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']);
    let bad = |byte: &u8| *byte < b' ' && *byte != b'\t' || *byte == DEL;
    !padded && (!has_control(value) || !value.iter().any(bad))
}

/// The last of the control characters.
const DEL: u8 = 0x7f;

/// Returns whether any byte is below a space or DEL, which is rare: eight bytes are looked at in one.
#[inline]
fn has_control(value: &[u8]) -> bool {
    const EACH: u64 = u64::MAX / 0xff;
    let (words, rest) = value.as_chunks();
    // A byte's first bit is set where it was clear, and taking a space off made the byte less than nothing. What is
    // taken from the next byte then changes nothing: one has been found already.
    let below = words.iter().fold(0, |any, word| {
        let word = u64::from_ne_bytes(*word);
        // The same of what is nothing once DEL is taken out of it.
        let del = word ^ (EACH * u64::from(DEL));
        any | word.wrapping_sub(EACH * 0x20) & !word | del.wrapping_sub(EACH) & !del
    });
    below & (EACH * 0x80) != 0 || rest.iter().any(|byte| *byte < b' ' || *byte == DEL)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// All bytes of a class, in their order.
    fn of(class: u8) -> Vec<u8> {
        (0..=255).filter(|byte| all(&[*byte], class)).collect()
    }

    #[test]
    fn classes_are_those_of_the_grammar() {
        let upper: Vec<u8> = of(TOKEN).into_iter().filter(u8::is_ascii_uppercase).collect();
        assert_eq!(upper, (b'A'..=b'Z').collect::<Vec<_>>());
        assert_eq!(of(NAME), b"!#$%&'*+-.0123456789^_`abcdefghijklmnopqrstuvwxyz|~");
        assert_eq!(of(TOKEN).len(), of(NAME).len() + 26);
        assert_eq!(of(SCHEME).len(), 62 + 3);
        assert_eq!(of(AUTHORITY).len(), 62 + 19);
        assert_eq!(of(PATH).len(), 256 - 33 - 2);
        assert!(all(b"", NAME));
        assert!(all(b"abc", NAME) && !all(b"abC", NAME) && !all(b":abc", NAME));
    }

    #[test]
    fn values() {
        for value in [&b""[..], b"a", b"a b", b"a\tb", b"\x80\xff", b",;\""] {
            assert!(is_value(value), "{value:?}");
        }
        for value in [
            &b" "[..],
            b"\t",
            b" a",
            b"a ",
            b"\ta",
            b"a\t",
            b"a\0",
            b"\ra",
            b"a\nb",
            b"a\x01b",
            b"a\x7f",
        ] {
            assert!(!is_value(value), "{value:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_byte_of_a_value_is_missed(
            mut value in vec(prop_oneof![0x1d..0x23_u8, any::<u8>()], 0..40), at: usize, byte: u8
        ) {
            if !value.is_empty() {
                let at = at % value.len();
                value[at] = byte;
            }
            prop_assert_eq!(has_control(&value), value.iter().any(|byte| *byte < b' ' || *byte == DEL));
            let bad = value.iter().any(|byte| *byte < b' ' && *byte != b'\t' || *byte == DEL);
            let ends = [value.first(), value.last()];
            let padded = ends.into_iter().flatten().any(|end| b" \t".contains(end));
            prop_assert_eq!(is_value(&value), !bad && !padded);
        }
    }
}

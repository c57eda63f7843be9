//! What a call belongs to, as its caller says in `traceparent` (W3C Trace Context, level 2).

use std::fmt;

use serde::{Serialize, Serializer};

/// A trace, and the span in it whose child the call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) id: TraceId,
    pub(crate) parent: u64,
    /// The caller records it.
    pub(crate) is_sampled: bool,
}

/// Its id, which is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceId(pub(crate) u128);

impl Trace {
    /// Reads `VERSION-TRACE-PARENT-FLAGS`, each in lower-case hexadecimal. A later version may have more behind it.
    pub(crate) fn of(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let (known, rest) = (text.get(..55)?, text.get(55..)?);
        let mut parts = known.split('-');
        let version = hex(parts.next()?, 2)? as u8;
        let (id, parent) = (hex(parts.next()?, 32)?, hex(parts.next()?, 16)? as u64);
        let flags = hex(parts.next()?, 2)? as u8;
        let is_whole =
            if version == 0 { rest.is_empty() } else { rest.is_empty() || rest.starts_with('-') };
        let is_good =
            parts.next().is_none() && version != 0xff && is_whole && id != 0 && parent != 0;
        is_good.then_some(Self { id: TraceId(id), parent, is_sampled: flags & 1 != 0 })
    }
}

fn hex(text: &str, len: usize) -> Option<u128> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    let is_good = text.len() == len && text.bytes().all(is_hex);
    u128::from_str_radix(text, 16).ok().filter(|_| is_good)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_callers_say_is_read() {
        let trace = Trace::of(GOOD.as_bytes()).expect("a trace");
        assert_eq!(trace.id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!((trace.parent, trace.is_sampled), (0xb7ad_6b71_6920_3331, true));
        let later = GOOD.replacen("00", "cc", 1) + "-what-comes-later";
        assert!(!Trace::of(later.replace("-01-", "-02-").as_bytes()).expect("a trace").is_sampled);
    }

    #[test]
    fn what_is_none_is_passed_over() {
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &format!("{GOOD}-more"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replacen("00", "01", 1).replace("-01", "-01x"),
            &GOOD.to_uppercase(),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GOOD.replace("-b7", "+b7"),
            &format!("{}\u{e4}", &GOOD[..54]),
        ] {
            assert_eq!(Trace::of(bad.as_bytes()), None, "{bad}");
        }
    }
}

//! The static table (RFC 7541 A).

use super::strings::is_same;

/// How many entries the table has; the dynamic table's indices begin behind them (RFC 7541 2.3.3).
pub(super) const LEN: usize = ENTRIES.len();

/// Names and values, from index 1 on.
#[rustfmt::skip]
static ENTRIES: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The name and value at an index, if it is the table's.
#[inline]
pub(super) fn get(index: usize) -> Option<(&'static [u8], &'static [u8])> {
    let (name, value) = ENTRIES.get(index.checked_sub(1)?)?;
    Some((name.as_bytes(), value.as_bytes()))
}

/// What the table knows of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Both, at this index.
    Pair(usize),
    /// The name alone, first at this index.
    Name(usize),
}

/// Looks for a field.
#[inline]
pub(super) fn find(name: &[u8], value: &[u8]) -> Option<Found> {
    let slot = SLOTS[slot_of(name)];
    let first = usize::from(slot.first);
    let (known, _) = get(first)?;
    if !is_same(known, name) {
        return None;
    }
    let indices = first..first + usize::from(slot.count);
    let pair =
        indices.into_iter().find(|&at| get(at).is_some_and(|(_, known)| is_same(known, value)));
    Some(pair.map_or(Found::Name(first), Found::Pair))
}

/// Where a name's entries are: they follow each other.
#[derive(Clone, Copy)]
struct Slot {
    /// 0 where there is none.
    first: u8,
    count: u8,
}

/// [`SLOTS`]' size, in bits.
const SLOT_BITS: u32 = 7;

/// All names, by a hash that no two of them share.
static SLOTS: [Slot; 1 << SLOT_BITS] = {
    let mut slots = [Slot { first: 0, count: 0 }; 1 << SLOT_BITS];
    let mut at = 0;
    while at < LEN {
        let name = ENTRIES[at].0.as_bytes();
        let slot = &mut slots[slot_of(name)];
        if slot.first == 0 {
            slot.first = at as u8 + 1;
        }
        slot.count += 1;
        // Neither another name's, nor this one's with others in between.
        assert!(is_equal(name, ENTRIES[slot.first as usize - 1].0.as_bytes()));
        assert!(slot.first + slot.count == at as u8 + 2);
        at += 1;
    }
    slots
};

/// A name's place in [`SLOTS`]. The factor was found by trying: it must keep all of them apart.
#[inline]
const fn slot_of(name: &[u8]) -> usize {
    let (Some(&first), Some(&last)) = (name.first(), name.last()) else { return 0 };
    let key = u32::from_le_bytes([name.len() as u8, name[name.len() / 2], last, first]);
    (key.wrapping_mul(0xca91_0347) >> (u32::BITS - SLOT_BITS)) as usize
}

/// `==`, which is not to be had at compile time.
const fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_found() {
        for index in 1..=LEN {
            let (name, value) = get(index).unwrap();
            assert_eq!(find(name, value), Some(Found::Pair(index)));
            let Some(Found::Name(first)) = find(name, b"no such value") else { panic!("{index}") };
            assert_eq!(get(first).unwrap().0, name);
            assert!(first == 1 || get(first - 1).unwrap().0 != name);
        }
    }

    #[test]
    fn others_are_not() {
        for name in ["", "x", "Accept", "accept-x", "grpc-timeout", "te", ":method "] {
            assert_eq!(find(name.as_bytes(), b""), None, "{name}");
        }
        assert_eq!(get(0), None);
        assert_eq!(get(LEN + 1), None);
    }
}

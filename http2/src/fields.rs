//! A decoded header or trailer section: a flat list of fields, in the order in which they came.

/// How the sender wrote a field (RFC 7541 6), which whoever passes it on repeats: so that a reference of one byte stays
/// one, and what must not be compressed is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indexing {
    /// Put into the dynamic table, or a reference into a table (6.1, 6.2.1).
    Incremental,
    /// Literal, and not put into the table (6.2.2).
    Without,
    /// Literal, and never to be put into a table by anybody (6.2.3, 7.1.3).
    Never,
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'f> {
    /// Lower case, with a colon in front where it is a pseudo-field.
    pub name: &'f [u8],
    /// As it came.
    pub value: &'f [u8],
    /// How the sender wrote it.
    pub indexing: Indexing,
}

/// A list of fields in one buffer, which is kept when the list is cleared.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    ends: Vec<Ends>,
    /// Whether any value begins or ends with a space or less.
    may_be_padded: bool,
}

/// Where a field's name and value end in the buffer; they begin where what is before ends.
#[derive(Clone, Copy, Debug)]
struct Ends {
    name: u32,
    value: u32,
    indexing: Indexing,
}

/// What a list has room for from its first field on, in bytes and fields: the head of a call, which would move five times
/// while it grew. Few lists are only trailers, and those are gone soon.
const ROOM: (usize, usize) = (256, 12);

/// What a field counts beyond its bytes (RFC 9113 6.5.2, RFC 7541 4.1).
pub const FIELD_OVERHEAD: usize = 32;

impl Fields {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all fields, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.may_be_padded = false;
    }

    /// Adds a field at the end. Lists of 4 GiB do not exist: blocks are bounded far below.
    pub fn push(&mut self, name: &[u8], value: &[u8], indexing: Indexing) {
        if self.ends.capacity() == 0 {
            self.bytes.reserve(ROOM.0);
            self.ends.reserve(ROOM.1);
        }
        self.may_be_padded |= may_be_padded(value);
        self.bytes.extend_from_slice(name);
        let name = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        self.ends.push(Ends { name, value: self.bytes.len() as u32, indexing });
    }

    /// Takes spaces and tabs off the ends of all values, of which they are no part (RFC 9110 5.5). Nobody may send them (RFC
    /// 9113 8.2.1), but C-core does (1.85, so grpcio too) where metadata has them, and whoever passes gRPC's on may strip
    /// them (PROTOCOL-HTTP2, "Custom-Metadata"). Pseudo-fields stay as they are: no metadata becomes one.
    pub fn strip(&mut self) {
        if !self.may_be_padded {
            return;
        }
        let padded = std::mem::take(self);
        for field in padded.iter() {
            self.push(field.name, stripped(field), field.indexing);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The size of the list as RFC 9113 6.5.2 counts it: names, values, and 32 bytes for each field.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len() + FIELD_OVERHEAD * self.ends.len()
    }

    /// All fields, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        let mut from = 0;
        self.ends.iter().map(move |ends| {
            let (name, value) = (ends.name as usize, ends.value as usize);
            let field = Field {
                name: &self.bytes[from..name],
                value: &self.bytes[name..value],
                indexing: ends.indexing,
            };
            from = value;
            field
        })
    }

    /// The values of all fields of this name.
    pub fn all<'f>(&'f self, name: &'f [u8]) -> impl Iterator<Item = &'f [u8]> + 'f {
        self.iter().filter(move |field| field.name == name).map(|field| field.value)
    }

    /// The value of the first field of this name.
    #[must_use]
    pub fn get<'f>(&'f self, name: &'f [u8]) -> Option<&'f [u8]> {
        self.all(name).next()
    }
}

/// Quick, for it is asked of every value: nothing else below a space begins or ends one that is any good.
#[inline]
fn may_be_padded(value: &[u8]) -> bool {
    match value {
        [] => false,
        [first, .., last] => *first.min(last) <= b' ',
        [one] => *one <= b' ',
    }
}

/// Its value without spaces and tabs at the ends.
fn stripped(Field { name, value, .. }: Field<'_>) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    if name.first() == Some(&b':') {
        return value;
    }
    let begin = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(begin, |last| last + 1);
    &value[begin..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lose_what_is_around_them() {
        let mut fields = Fields::new();
        for value in ["", "a", " a", "a\t ", "\t a b \t", " ", "\t \t"] {
            fields.push(b"x", value.as_bytes(), Indexing::Without);
        }
        fields.push(b":path", b" /", Indexing::Never);
        fields.strip();
        assert_eq!(fields.iter().last().map(|field| field.indexing), Some(Indexing::Never));
        let values: Vec<_> = fields.iter().map(|field| field.value).collect();
        let want: [&[u8]; 8] = [b"", b"a", b"a", b"a", b"a b", b"", b"", b" /"];
        assert_eq!(values, want);
    }

    #[test]
    fn fields_keep_their_order() {
        let mut fields = Fields::new();
        fields.push(b":path", b"/", Indexing::Incremental);
        fields.push(b"x", b"", Indexing::Never);
        fields.push(b"x", b"2", Indexing::Without);
        assert_eq!(fields.get(b"x"), Some(&b""[..]));
        assert_eq!(fields.get(b"y"), None);
        assert_eq!(fields.all(b"x").collect::<Vec<_>>(), [&b""[..], b"2"]);
        assert_eq!((fields.len(), fields.size()), (3, 3 * 32 + 9));
        fields.clear();
        assert!(fields.is_empty());
    }
}

//! Header lists on the wire (RFC 7541), as far as tests need it: written without compression, and read with
//! Huffman's code but without a dynamic table, which a peer forbids with SETTINGS_HEADER_TABLE_SIZE 0.

/// Names and values, in the order of the wire.
pub(crate) type Headers = Vec<(String, String)>;

/// The static table, as far as it appears between a hub and its peers here.
const STATIC: [(usize, &str, &str); 28] = [
    (1, ":authority", ""),
    (2, ":method", "GET"),
    (3, ":method", "POST"),
    (4, ":path", "/"),
    (5, ":path", "/index.html"),
    (6, ":scheme", "http"),
    (7, ":scheme", "https"),
    (8, ":status", "200"),
    (9, ":status", "204"),
    (10, ":status", "206"),
    (11, ":status", "304"),
    (12, ":status", "400"),
    (13, ":status", "404"),
    (14, ":status", "500"),
    (15, "accept-charset", ""),
    (16, "accept-encoding", "gzip, deflate"),
    (19, "accept", ""),
    (23, "authorization", ""),
    (26, "content-encoding", ""),
    (28, "content-length", ""),
    (31, "content-type", ""),
    (32, "cookie", ""),
    (33, "date", ""),
    (38, "host", ""),
    (45, "link", ""),
    (53, "retry-after", ""),
    (54, "server", ""),
    (58, "user-agent", ""),
];

/// Symbols by the length of their codes in bits, and in the order of them: all that is printed, nearly.
const HUFFMAN: [(u32, &[u8]); 11] = [
    (5, b"012aceiost"),
    (6, b" %-./3456789=A_bdfghlmnpru"),
    (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, b"&*,;XZ"),
    (9, b""),
    (10, b"!\"()?"),
    (11, b"'+|"),
    (12, b"#>"),
    (13, b"\0$@[]~"),
    (14, b"^}"),
    (15, b"<`{"),
];

/// Writes a header list.
pub(crate) fn encode<N: AsRef<str>, V: AsRef<str>>(headers: &[(N, V)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            integer(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 5.1).
fn integer(block: &mut Vec<u8>, value: usize) {
    if value < 0x7f {
        block.push(value as u8);
        return;
    }
    block.push(0x7f);
    let mut rest = value - 0x7f;
    while rest >= 0x80 {
        block.push(0x80 | rest as u8);
        rest >>= 7;
    }
    block.push(rest as u8);
}

/// Reads a header list.
pub(crate) fn decode(block: &[u8]) -> Headers {
    let mut block = Block(block);
    let mut headers = Vec::new();
    while let Some(&first) = block.0.first() {
        if first & 0x80 != 0 {
            let (name, value) = entry(block.integer(7));
            headers.push((name.to_owned(), value.to_owned()));
        } else if first & 0xe0 == 0x20 {
            assert_eq!(block.integer(5), 0, "a dynamic table, which was forbidden");
        } else {
            // With or without an entry in the dynamic table, which has no room.
            let index = block.integer(if first & 0x40 != 0 { 6 } else { 4 });
            let name = if index == 0 { block.text() } else { entry(index).0.to_owned() };
            headers.push((name, block.text()));
        }
    }
    headers
}

fn entry(index: usize) -> (&'static str, &'static str) {
    let found = STATIC.iter().find(|(known, ..)| *known == index);
    let (_, name, value) = found.unwrap_or_else(|| panic!("entry {index} of the static table"));
    (name, value)
}

/// What is left of a header block.
struct Block<'b>(&'b [u8]);

impl Block<'_> {
    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().expect("more of a header block");
        self.0 = rest;
        first
    }

    fn integer(&mut self, prefix: u32) -> usize {
        let max = (1 << prefix) - 1;
        let mut value = usize::from(self.byte()) & max;
        let mut shift = 0;
        while value >= max {
            let more = self.byte();
            value += usize::from(more & 0x7f) << shift;
            shift += 7;
            if more & 0x80 == 0 {
                break;
            }
        }
        value
    }

    fn text(&mut self) -> String {
        let compressed = self.0[0] & 0x80 != 0;
        let length = self.integer(7);
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        let text = if compressed { expand(text) } else { text.to_vec() };
        String::from_utf8(text).expect("text")
    }
}

/// Undoes Huffman's code. It is canonical: the codes of one length are consecutive, and go on at twice the
/// next one where the length grows by one.
fn expand(compressed: &[u8]) -> Vec<u8> {
    let bits = compressed.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
    let mut text = Vec::new();
    let (mut code, mut length) = (0_usize, 0);
    for bit in bits {
        (code, length) = (code << 1 | usize::from(bit), length + 1);
        if let Some(symbol) = symbol(code, length) {
            text.push(symbol);
            (code, length) = (0, 0);
        }
    }
    assert!(length < 8 && code == (1 << length) - 1, "a symbol that is not in the table");
    text
}

fn symbol(code: usize, length: u32) -> Option<u8> {
    let mut first = 0;
    for (bits, symbols) in HUFFMAN {
        if bits == length {
            return symbols.get(code.checked_sub(first)?).copied();
        }
        first = (first + symbols.len()) << 1;
    }
    None
}

/// The examples of RFC 7541 C.4.1 and C.6.1 have all kinds of entries.
#[test]
fn reads_what_the_rfc_gives_as_examples() {
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let request = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    let expected = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
    ];
    assert_eq!(decode(request), expected.map(pair));
    let long = "x".repeat(1000);
    let written = encode(&[("name", &*long), ("x", "")]);
    assert_eq!(decode(&written), [("name", &*long), ("x", "")].map(pair));
}

//! The examples of RFC 7541 C.

use super::*;

/// A block, its fields, and how large the table is behind it.
type Example = (&'static str, Vec<Owned>, usize);

fn fields(text: &str) -> Vec<Owned> {
    let lines = text.lines().map(|line| line.trim().split_once(": ").unwrap());
    lines.map(|(name, value)| owned(name, value, Indexing::Incremental)).collect()
}

/// Announces a table of 256 bytes, which C.5 and C.6 take for settled.
const SIZE_256: [u8; 3] = [0x3f, 0xe1, 0x01];

fn table_size(decoder: &mut Decoder) -> usize {
    table(decoder).iter().map(|(name, value, _)| name.len() + value.len() + 32).sum()
}

fn decodes(examples: &[Example], before: &[u8]) {
    let mut decoder = Decoder::new();
    assert_eq!(decode(&mut decoder, before), Ok(vec![]));
    for (block, fields, size) in examples {
        assert_eq!(decode(&mut decoder, &hex(block)), Ok(fields.clone()));
        assert_eq!(table_size(&mut decoder), *size);
    }
}

/// C.2.1 to C.2.4.
#[test]
fn single_fields() {
    let path = owned(":path", "/sample/path", Indexing::Without);
    let password = owned("password", "secret", Indexing::Never);
    for (block, field, size) in [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            owned("custom-key", "custom-header", Indexing::Incremental),
            55,
        ),
        ("040c 2f73 616d 706c 652f 7061 7468", path.clone(), 0),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", password.clone(), 0),
        ("82", owned(":method", "GET", Indexing::Incremental), 0),
    ] {
        decodes(&[(block, vec![field], size)], &[]);
    }
    // The encoder takes the Huffman code, and a name from where it is; the rest is the same.
    let mut encoder = Encoder::new();
    assert_eq!(encode(&mut encoder, &[path])[..1], [0x04]);
    assert_eq!(encode(&mut encoder, &[password])[..1], [0x10]);
}

fn requests(blocks: [&'static str; 3]) -> [Example; 3] {
    let first = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com";
    let second = format!("{first}\ncache-control: no-cache");
    let third = ":method: GET
        :scheme: https
        :path: /index.html
        :authority: www.example.com
        custom-key: custom-value";
    let [one, two, three] = blocks;
    [(one, fields(first), 57), (two, fields(&second), 110), (three, fields(third), 164)]
}

/// C.3.
#[test]
fn requests_without_huffman_code() {
    let examples = requests([
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ]);
    decodes(&examples, &[]);
}

/// C.4, both ways.
#[test]
fn requests_with_huffman_code() {
    let examples = requests([
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ]);
    decodes(&examples, &[]);
    let mut encoder = Encoder::new();
    for (block, fields, _) in &examples {
        assert_eq!(encode(&mut encoder, fields), hex(block));
    }
}

fn responses(blocks: [&'static str; 3]) -> [Example; 3] {
    let first = ":status: 302
        cache-control: private
        date: Mon, 21 Oct 2013 20:13:21 GMT
        location: https://www.example.com";
    let second = first.replace("302", "307");
    let third = ":status: 200
        cache-control: private
        date: Mon, 21 Oct 2013 20:13:22 GMT
        location: https://www.example.com
        content-encoding: gzip
        set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    let [one, two, three] = blocks;
    [(one, fields(first), 222), (two, fields(&second), 222), (three, fields(third), 215)]
}

/// C.5.
#[test]
fn responses_without_huffman_code() {
    let examples = responses([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 \
         2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 \
         6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d \
         54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 \
         5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e \
         3d31",
    ]);
    decodes(&examples, &SIZE_256);
}

/// C.6, both ways: but `307` is no shorter in Huffman code, and the encoder does not take it then.
#[test]
fn responses_with_huffman_code() {
    let examples = responses([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 \
         2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab \
         77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f \
         9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ]);
    decodes(&examples, &SIZE_256);
    let mut encoder = Encoder::new();
    encoder.set_max_size(256);
    let mut before = Vec::new();
    encoder.begin(&mut before);
    assert_eq!(before, SIZE_256);
    for (block, fields, _) in &examples {
        let expected = match *block {
            "4883 640e ffc1 c0bf" => "4803 3330 37c1 c0bf",
            block => block,
        };
        assert_eq!(encode(&mut encoder, fields), hex(expected));
    }
}

//! Blocks that cannot be decoded, each in its own way.

use super::*;

fn error(block: &str) -> Error {
    decode(&mut Decoder::new(), &hex(block)).unwrap_err()
}

#[test]
fn an_index_that_is_in_no_table() {
    assert_eq!(error("80"), Error::Index(0));
    assert_eq!(error("be"), Error::Index(62));
    assert_eq!(error("ff 81ff ff7f"), Error::Index(1 << 28));
    // As the name of a literal of each kind.
    for block in ["7e 0161", "0f2f 0161", "1f2f 0161"] {
        assert_eq!(error(block), Error::Index(62), "{block}");
    }
}

#[test]
fn an_integer_that_is_too_large() {
    for block in ["ff 82ff ff7f", "ff 8080 8080 8000", "00 7f82 ffff 7f", "3f ffff ffff 7f"] {
        assert_eq!(error(block), Error::Integer, "{block}");
    }
}

#[test]
fn a_block_that_is_cut_off() {
    for block in ["ff", "ff 80", "3f", "40", "40 01", "40 0161", "40 0161 02", "40 0161 0262"] {
        assert_eq!(error(block), Error::Truncated, "{block}");
    }
    assert_eq!(error("00 81ff"), Error::Padding);
    assert_eq!(error("00 821f"), Error::Truncated);
}

/// `a` is 00011 in Huffman code.
#[test]
fn a_huffman_string_that_is_badly_padded() {
    assert_eq!(decode(&mut Decoder::new(), &hex("00 811f 00")).unwrap()[0].0, b"a");
    for block in [
        "00 811e 00",      // not ones
        "00 8118 00",      // zeros
        "00 821f ff 00",   // 11 bits
        "00 81ff 00",      // 8 bits, and nothing else
        "00 81fe 00",      // the beginning of some code
        "00 83ff ffff 00", // of EOS, but not all of it
    ] {
        assert_eq!(error(block), Error::Padding, "{block}");
    }
}

#[test]
fn a_huffman_string_with_eos() {
    assert_eq!(error("00 84ff ffff ff 00"), Error::Eos);
    assert_eq!(error("00 84ff ffff fc 00"), Error::Eos);
    assert_eq!(error("00 851f ffff ffff 00"), Error::Eos);
    assert_eq!(error("00 0161 84ff ffff fe"), Error::Eos);
}

#[test]
fn a_size_update_that_is_too_large() {
    assert_eq!(decode(&mut Decoder::new(), &hex("3f e11f")), Ok(vec![]));
    assert_eq!(error("3f e21f"), Error::SizeTooLarge(4097));
}

#[test]
fn a_size_update_after_a_field() {
    assert_eq!(error("82 20"), Error::SizeLate);
    assert_eq!(error("20 82 3fe1 1f"), Error::SizeLate);
}

#[test]
fn many_size_updates() {
    assert_eq!(decode(&mut Decoder::new(), &[0x20; 8]), Ok(vec![]));
    assert_eq!(decode(&mut Decoder::new(), &[0x20; 9]), Err(Error::SizeUpdates));
}

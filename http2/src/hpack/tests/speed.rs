//! How long a typical block takes: `cargo test --release -p http2 speed -- --ignored --nocapture --test-threads=1`.

#![allow(clippy::disallowed_types)] // no clock but the real one tells

use std::hint::black_box;
use std::time::Instant;

use super::*;

const TURNS: u32 = 20;
const ROUNDS: u32 = 100_000;

/// The head of a request as grpc-go writes it.
fn head() -> Vec<Owned> {
    [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/grpc.testing.TestService/UnaryCall"),
        (":authority", "localhost:50051"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "grpc-go/1.85.0"),
        ("grpc-timeout", "999832u"),
        ("name", "testserver"),
    ]
    .map(|(name, value)| owned(name, value, Indexing::Incremental))
    .to_vec()
}

/// Prints the time of the best of some turns: the others were disturbed.
fn measure(what: &str, mut once: impl FnMut(u32)) {
    let turn = |_| {
        let start = Instant::now();
        (0..ROUNDS).for_each(&mut once);
        start.elapsed()
    };
    let best = (0..TURNS).map(turn).min().unwrap();
    println!("{what}: {:.0} ns", best.as_nanos() as f64 / f64::from(ROUNDS));
}

/// Fills the encoder's table with what is never asked for again, and comes back with the head's entries the oldest.
fn fill(encoder: &mut Encoder) -> Vec<u8> {
    let junk: Vec<_> =
        (0..50).map(|n| owned("x-junk", &n.to_string(), Indexing::Incremental)).collect();
    encode(encoder, &junk)
}

fn encode_into(encoder: &mut Encoder, fields: &Fields, block: &mut Vec<u8>) {
    block.clear();
    encoder.begin(block);
    fields.iter().for_each(|field| encoder.field(field, block));
}

#[test]
#[ignore = "a measurement"]
fn both_ways() {
    for (what, full) in [("indexed", false), ("indexed, table full", true)] {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let (mut fields, mut block) = (Fields::new(), encode(&mut Encoder::new(), &head()));
        println!("first block: {} bytes", block.len());
        decoder.decode(&encode(&mut encoder, &head()), &mut fields, ROOMY).unwrap();
        if full {
            decoder.decode(&fill(&mut encoder), &mut Fields::new(), ROOMY).unwrap();
        }
        measure(&format!("encode, {what}"), |_| {
            encode_into(&mut encoder, black_box(&fields), &mut block);
        });
        assert_eq!(block.len(), head().len());
        measure(&format!("decode, {what}"), |_| {
            fields.clear();
            decoder.decode(black_box(&block), &mut fields, ROOMY).unwrap();
        });
    }
}

/// As it is with calls of many deadlines: the timeout is new each time, and the others are pushed out now and then.
#[test]
#[ignore = "a measurement"]
fn another_timeout_each_time() {
    let (mut encoder, mut block) = (Encoder::new(), Vec::new());
    let mut heads: Vec<Fields> = Vec::new();
    for timeout in 0..1000 {
        let mut fields = Fields::new();
        for (name, value, indexing) in head() {
            let timeout = format!("{}u", 999_000 + timeout);
            let value = if name == b"grpc-timeout" { timeout.as_bytes() } else { &value };
            fields.push(&name, value, indexing);
        }
        heads.push(fields);
    }
    measure("encode, another timeout", |round| {
        encode_into(&mut encoder, &heads[round as usize % heads.len()], &mut block);
    });
    let mut decoder = Decoder::new();
    let mut encoder = Encoder::new();
    // From an empty table, and so that the table is the same after each time round.
    encoder.set_max_size(0);
    encoder.begin(&mut block);
    encoder.set_max_size(4096);
    let blocks: Vec<Vec<u8>> = heads
        .iter()
        .map(|head| {
            encode_into(&mut encoder, head, &mut block);
            block.clone()
        })
        .collect();
    let mut fields = Fields::new();
    let mut empty = vec![0x20, 0x3f, 0xe1, 0x1f];
    empty.extend(&blocks[0][3..]);
    measure("decode, another timeout", |round| {
        fields.clear();
        let block = match round as usize % blocks.len() {
            0 => &empty,
            at => &blocks[at],
        };
        decoder.decode(black_box(block), &mut fields, ROOMY).unwrap();
    });
}

#[test]
#[ignore = "a measurement"]
fn huffman_code() {
    let text = b"/grpc.testing.TestService/UnaryCall, and Some more text 0123456789";
    let (mut code, mut back) = (Vec::new(), Vec::new());
    measure(&format!("Huffman encode, {} bytes", text.len()), |_| {
        code.clear();
        super::super::huffman::encode(black_box(text), &mut code);
    });
    measure(&format!("Huffman decode, {} bytes", text.len()), |_| {
        back.clear();
        super::super::huffman::decode(black_box(&code), &mut back).unwrap();
    });
}

//! HPACK by the line, for whoever has another implementation to hold against it: `scripts/h2spec/hpack`.
//!
//! ```text
//! d BLOCK               decodes a block; says its fields
//! e FIELD FIELD …       encodes them; says the block
//! s BYTES               the peer's table for what is encoded has this size from now on
//! ```
//!
//! A block is in hexadecimal. A field is its name, its value, each in hexadecimal, and `i`, `w` or `n` for how it is to
//! be indexed (RFC 7541 6.2.1, 6.2.2, 6.2.3), with commas between. Each line is answered by one; what is wrong, by
//! `error` and why.

use std::error::Error;
use std::io::{Write, stdin, stdout};

use http2::fields::{Field, Fields, Indexing};
use http2::hpack::{Decoder, Encoder};

/// No list that is asked for here is larger.
const LIST_MAX: usize = 1 << 24;

type Answer = Result<String, Box<dyn Error>>;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut decoder, mut encoder) = (Decoder::new(), Encoder::new());
    for line in stdin().lines() {
        let line = line?;
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match verb {
            "d" => decode(&mut decoder, rest),
            "e" => encode(&mut encoder, rest),
            "s" => resize(&mut encoder, rest),
            _ => Err(format!("no verb {verb:?}").into()),
        };
        let mut out = stdout().lock();
        match answer {
            Ok(answer) => writeln!(out, "{answer}")?,
            Err(error) => writeln!(out, "error {error}")?,
        }
        out.flush()?;
    }
    Ok(())
}

fn decode(decoder: &mut Decoder, block: &str) -> Answer {
    let mut fields = Fields::new();
    decoder.decode(&bytes(block)?, &mut fields, LIST_MAX)?;
    let said = |field: Field<'_>| {
        let indexing = match field.indexing {
            Indexing::Incremental => 'i',
            Indexing::Without => 'w',
            Indexing::Never => 'n',
        };
        format!("{},{},{indexing}", digits(field.name), digits(field.value))
    };
    Ok(fields.iter().map(said).collect::<Vec<_>>().join(" "))
}

fn encode(encoder: &mut Encoder, fields: &str) -> Answer {
    let mut block = Vec::new();
    encoder.begin(&mut block);
    for field in fields.split_whitespace() {
        let mut parts = field.split(',');
        let (Some(name), Some(value), Some(how), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(format!("no field: {field}").into());
        };
        let indexing = match how {
            "i" => Indexing::Incremental,
            "w" => Indexing::Without,
            "n" => Indexing::Never,
            _ => return Err(format!("no indexing: {how}").into()),
        };
        let (name, value) = (&bytes(name)?[..], &bytes(value)?[..]);
        encoder.field(Field { name, value, indexing }, &mut block);
    }
    Ok(digits(&block))
}

fn resize(encoder: &mut Encoder, size: &str) -> Answer {
    encoder.set_max_size(size.parse()?);
    Ok(String::new())
}

fn bytes(digits: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let byte = |pair: &[u8]| {
        let pair = str::from_utf8(pair)?;
        Ok(u8::from_str_radix(pair, 16)?)
    };
    digits.as_bytes().chunks(2).map(byte).collect()
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

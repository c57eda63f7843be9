//! Header lists that are too long, or look short.

use std::io;

use super::frames::{END_STREAM, FIRST_DYNAMIC, indexed_literal, literal, long_headers, reset};
use super::tally::Tally;
use super::wire::Wire;
use super::{Abuse, Target};

pub(super) const ABUSES: &[(&str, Abuse)] = &[
    ("headers-20k", |target, tally| long(target, tally, 20 << 10)),
    ("headers-47k", |target, tally| long(target, tally, 47 << 10)),
    ("headers-64k", |target, tally| long(target, tally, 64 << 10)),
    ("headers-1m", |target, tally| long(target, tally, 1 << 20)),
    ("hpack-bomb", hpack_bomb),
];

/// A call with one header of this size, given up after a while.
fn long(target: &Target, tally: &'static Tally, size: usize) -> io::Result<()> {
    let call = target.request("/bench.Bench/Hold");
    let block = [call, literal("x-long", &vec![b'x'; size])].concat();
    calls(target, tally, &block)
}

/// One header of 4,000 bytes, and 16,000 times one byte that repeats it: 64 MB.
fn hpack_bomb(target: &Target, tally: &'static Tally) -> io::Result<()> {
    let call = target.request("/bench.Bench/Hold");
    let bomb = indexed_literal("x-long", &[b'x'; 4000]);
    let block = [call, bomb, vec![FIRST_DYNAMIC; 16_000]].concat();
    calls(target, tally, &block)
}

/// One call after the other, at most eight of them open.
fn calls(target: &Target, tally: &'static Tally, block: &[u8]) -> io::Result<()> {
    const OPEN: u32 = 8;
    let mut wire = Wire::deaf(target, tally)?;
    loop {
        let stream = wire.stream();
        wire.write(&long_headers(stream, END_STREAM, block))?;
        if let Some(old) = stream.checked_sub(2 * OPEN).filter(|old| *old > 0) {
            wire.write(&reset(old))?;
        }
        tally.did(1);
    }
}

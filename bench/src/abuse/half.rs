//! Connections that begin something and do not go on.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::frames::{DATA, END_HEADERS, HEADERS, PREFACE, frame};
use super::hold::keep;
use super::tally::Tally;
use super::wire::{Wire, connect};
use super::{Abuse, Target};

pub(super) const ABUSES: &[(&str, Abuse)] = &[
    ("half-tls", |target, tally| half(target, tally, CLIENT_HELLO)),
    ("half-preface", |target, tally| half(target, tally, &PREFACE[..12])),
    ("no-settings", |target, tally| half(target, tally, PREFACE)),
    ("half-upgrade", |target, tally| half(target, tally, UPGRADE)),
    ("slow-headers", slow_headers),
    ("reconnects", reconnects),
    ("refused-upgrades", refused_upgrades),
    ("mid-data", mid_data),
    ("mid-headers", mid_headers),
];

/// Connections at once.
const CONNECTIONS: usize = 1000;
/// A TLS record of 512 bytes with a ClientHello of 508, of which this is the beginning.
const CLIENT_HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 1, 2, 3, 4, 5];
const UPGRADE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: hub.test\r\nConnection: Upgrade\r\nUpgr";

fn half(target: &Target, tally: &'static Tally, bytes: &[u8]) -> io::Result<()> {
    keep(begun(target, tally, bytes)?, CONNECTIONS as u64, tally)
}

fn begun(target: &Target, tally: &Tally, bytes: &[u8]) -> io::Result<Vec<TcpStream>> {
    let begin = |_| {
        let mut tcp = connect(target)?;
        tally.connected();
        tcp.write_all(bytes)?;
        Ok(tcp)
    };
    (0..CONNECTIONS).map(begin).collect()
}

/// A byte of a head now and then, on each of them.
fn slow_headers(target: &Target, tally: &'static Tally) -> io::Result<()> {
    const STEP: Duration = Duration::from_millis(100);
    let mut all = begun(target, tally, UPGRADE)?;
    loop {
        tally.did(all.len() as u64);
        thread::sleep(STEP);
        // The hub ends those that take too long; when it has ended them all, from the start.
        all.retain_mut(|tcp| tcp.write_all(b"x").is_ok());
        if all.is_empty() {
            return Ok(());
        }
    }
}

/// Connections that are closed as soon as they are open.
fn reconnects(target: &Target, tally: &'static Tally) -> io::Result<()> {
    loop {
        drop(Wire::open(target, tally)?);
        tally.did(1);
    }
}

/// HTTP/1.1 requests that the hub refuses, and logs; 16 connections at a time.
fn refused_upgrades(target: &Target, tally: &'static Tally) -> io::Result<()> {
    const AT_ONCE: usize = 16;
    const SCAN: &[u8] = b"GET /admin HTTP/1.1\r\nHost: hub.test\r\n\r\n";
    loop {
        let mut all = Vec::new();
        for _ in 0..AT_ONCE {
            let mut tcp = connect(target)?;
            tally.connected();
            tcp.write_all(SCAN)?;
            all.push(tcp);
        }
        for mut tcp in all {
            io::copy(&mut tcp, &mut io::sink())?;
        }
        tally.did(AT_ONCE as u64);
    }
}

/// 100 connections that stop in the middle of a DATA frame.
fn mid_data(target: &Target, tally: &'static Tally) -> io::Result<()> {
    let begun = |_| {
        let mut wire = Wire::deaf(target, tally)?;
        let stream = wire.call(target, "/bench.Bench/Drain", 0)?;
        wire.write(&frame(DATA, 0, stream, &[0; 16 << 10])[..8 << 10])?;
        Ok(wire)
    };
    keep((0..100).map(begun).collect::<io::Result<Vec<_>>>()?, 100, tally)
}

/// 100 connections that stop in the middle of a header block.
fn mid_headers(target: &Target, tally: &'static Tally) -> io::Result<()> {
    let block = target.request("/bench.Bench/Drain");
    let begun = |_| {
        let mut wire = Wire::deaf(target, tally)?;
        wire.write(&frame(HEADERS, END_HEADERS, 1, &block)[..9 + block.len() / 2])?;
        Ok(wire)
    };
    keep((0..100).map(begun).collect::<io::Result<Vec<_>>>()?, 100, tally)
}

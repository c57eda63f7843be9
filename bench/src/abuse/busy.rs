//! For comparison: work that has nothing to do with the hub, and callers who do no harm.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use super::frames::{DATA, END_STREAM, frame};
use super::tally::Tally;
use super::wire::Wire;
use super::{Abuse, Target};
use crate::bystander::MESSAGE;

pub(super) const ABUSES: &[(&str, Abuse)] =
    &[("busy", busy), ("busy-served", busy_served), ("calls", calls)];

/// About what a flood writes at once.
const CHUNK: usize = 16 << 10;

/// Writes to a socket as fast as it goes, and reads it.
fn busy(_: &Target, tally: &'static Tally) -> io::Result<()> {
    write_to(sink()?, tally)
}

/// The same, but who reads has the priority that this process began with.
fn busy_served(target: &Target, tally: &'static Tally) -> io::Result<()> {
    write_to(target.sink, tally)
}

/// Calls like the bystander's, the next one when the last is answered.
fn calls(target: &Target, tally: &'static Tally) -> io::Result<()> {
    let mut wire = Wire::open(target, tally)?;
    loop {
        let stream = wire.call(target, "/bench.Bench/Echo", 0)?;
        wire.write(&frame(DATA, END_STREAM, stream, MESSAGE))?;
        // A refusal has none.
        wire.wait(&[stream], tally, |frame| frame.kind == DATA)?;
        wire.wait(&[stream], tally, |frame| frame.flags & END_STREAM != 0)?;
        tally.did(1);
    }
}

fn write_to(sink: SocketAddr, tally: &Tally) -> io::Result<()> {
    let mut tcp = TcpStream::connect(sink)?;
    let chunk = vec![0; CHUNK];
    loop {
        tcp.write_all(&chunk)?;
        tally.did(1);
    }
}

/// Reads and forgets what one connection brings, in a thread with the priority of the caller's.
pub(super) fn sink() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        let Ok((mut tcp, _)) = listener.accept() else {
            return;
        };
        while tcp.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    Ok(address)
}

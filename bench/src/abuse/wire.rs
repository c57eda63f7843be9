//! An HTTP/2 connection to the hub, written and read by hand.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Target;
use super::frames::{
    ACK, DEFAULT_WINDOW, GOAWAY, INITIAL_WINDOW_SIZE, MAX_WINDOW, PREFACE, SETTINGS, frame,
    settings, window_update,
};
use super::tally::Tally;

/// Nothing of this takes longer, unless the hub holds it up.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection.
pub(super) struct Wire {
    tcp: TcpStream,
    reader: BufReader<TcpStream>,
    /// Reads and forgets.
    drain: Option<JoinHandle<()>>,
    last_stream: u32,
    /// What one stream may send at first, as the hub has said.
    pub(super) window: u32,
}

/// A frame; the payload is kept of SETTINGS and GOAWAY only.
pub(super) struct Head {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    payload: Vec<u8>,
}

impl Wire {
    /// Connects, and goes as far as both ends' SETTINGS. The stream window is what the hub may send of
    /// one stream.
    pub(super) fn connect(target: &Target, tally: &Tally, stream_window: u32) -> io::Result<Self> {
        let tcp = connect(target)?;
        tally.connected();
        let reader = BufReader::with_capacity(64 << 10, tcp.try_clone()?);
        let mut wire = Self { tcp, reader, drain: None, last_stream: 0, window: DEFAULT_WINDOW };
        let hello =
            [PREFACE, &settings(stream_window), &window_update(0, MAX_WINDOW - DEFAULT_WINDOW)];
        wire.write(&hello.concat())?;
        wire.window = loop {
            let frame = wire.read(tally)?;
            if frame.kind == SETTINGS {
                break initial_window(&frame.payload);
            }
        };
        wire.write(&frame(SETTINGS, ACK, 0, &[]))?;
        Ok(wire)
    }

    /// With windows that are never in the way.
    pub(super) fn open(target: &Target, tally: &Tally) -> io::Result<Self> {
        Self::connect(target, tally, MAX_WINDOW)
    }

    /// The same, and whatever the hub says is read and forgotten.
    pub(super) fn deaf(target: &Target, tally: &'static Tally) -> io::Result<Self> {
        let mut wire = Self::open(target, tally)?;
        wire.drain(tally)?;
        Ok(wire)
    }

    /// The next stream of ours.
    pub(super) fn stream(&mut self) -> u32 {
        self.last_stream = if self.last_stream == 0 { 1 } else { self.last_stream + 2 };
        self.last_stream
    }

    /// Writes it all.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tcp.write_all(bytes)
    }

    /// Begins a call, and returns its stream.
    pub(super) fn call(&mut self, target: &Target, path: &str, flags: u8) -> io::Result<u32> {
        let stream = self.stream();
        let block = target.request(path);
        self.write(&super::frames::headers(stream, flags, &block))?;
        Ok(stream)
    }

    /// The next frame.
    pub(super) fn read(&mut self, tally: &Tally) -> io::Result<Head> {
        read_frame(&mut self.reader, tally)
    }

    /// Reads until each of these streams had a frame that `fits`.
    pub(super) fn wait(
        &mut self,
        streams: &[u32],
        tally: &Tally,
        fits: impl Fn(&Head) -> bool,
    ) -> io::Result<()> {
        let mut open: BTreeSet<_> = streams.iter().copied().collect();
        while !open.is_empty() {
            let frame = self.read(tally)?;
            if fits(&frame) {
                open.remove(&frame.stream);
            }
        }
        Ok(())
    }

    /// Reads what else comes in a thread of its own, until the connection ends.
    pub(super) fn drain(&mut self, tally: &'static Tally) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(64 << 10, self.tcp.try_clone()?);
        // Nothing is lost if it is between two frames; the hub's first words are one.
        std::mem::swap(&mut reader, &mut self.reader);
        let drain = thread::spawn(move || while read_frame(&mut reader, tally).is_ok() {});
        self.drain = Some(drain);
        Ok(())
    }

    /// Waits until the hub has ended a connection whose answers are read and forgotten.
    pub(super) fn until_ended(mut self) {
        if let Some(drain) = self.drain.take() {
            // It only reads.
            let _ = drain.join();
        }
    }
}

/// A TCP connection to the hub.
pub(super) fn connect(target: &Target) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect_timeout(&target.hub, PATIENCE)?;
    tcp.set_nodelay(true)?;
    tcp.set_write_timeout(Some(PATIENCE))?;
    Ok(tcp)
}

fn read_frame(reader: &mut impl Read, tally: &Tally) -> io::Result<Head> {
    let mut head = [0; 9];
    reader.read_exact(&mut head)?;
    let length = u64::from(u32::from_be_bytes([0, head[0], head[1], head[2]]));
    let mut payload = Vec::new();
    if matches!(head[3], SETTINGS | GOAWAY) {
        reader.by_ref().take(length).read_to_end(&mut payload)?;
    } else {
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
    }
    if head[3] == GOAWAY {
        tally.ended(&goaway(&payload));
    }
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Ok(Head { kind: head[3], flags: head[4], stream, payload })
}

/// What SETTINGS say of the window of streams.
fn initial_window(settings: &[u8]) -> u32 {
    let said = settings.chunks_exact(6).find_map(|setting| match *setting {
        [high, low, a, b, c, d] if u16::from_be_bytes([high, low]) == INITIAL_WINDOW_SIZE => {
            Some(u32::from_be_bytes([a, b, c, d]))
        }
        _ => None,
    });
    said.unwrap_or(DEFAULT_WINDOW)
}

/// Code and words of a GOAWAY.
fn goaway(payload: &[u8]) -> String {
    let (code, words) =
        payload.get(4..).unwrap_or_default().split_at_checked(4).unwrap_or_default();
    let words = String::from_utf8_lossy(words);
    format!("GOAWAY {} {words}", code.last().unwrap_or(&0)).trim_end().to_owned()
}

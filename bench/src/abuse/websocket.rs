//! A WebSocket to the hub by hand (RFC 6455): what an agent opens, before it misbehaves.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::thread;

use tunnel::limits::LANE_DATA_MAX;
use tunnel::wire::{HUB_INSTANCE, HUB_NAME, HUB_SLOT, PATH, SUBPROTOCOL};

use super::Target;
use super::frames::{SETTINGS, frame};
use super::tally::Tally;
use super::wire::connect;

pub(super) const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const PING: u8 = 9;

/// How the frame begins with which the hub opens its first lane: the kind and the lane.
const OPEN_OF_LANE_1: [u8; 5] = [1, 0, 0, 0, 1];
/// The same for bytes of that lane.
const DATA_OF_LANE_1: [u8; 5] = [0, 0, 0, 0, 1];

/// Bytes of the hub's first lane, as messages.
pub(super) fn on_lane(bytes: &[u8]) -> Vec<u8> {
    let data = bytes.chunks(LANE_DATA_MAX);
    data.flat_map(|data| message(BINARY, &[&DATA_OF_LANE_1, data].concat())).collect()
}

/// One that the hub has upgraded.
pub(super) struct WebSocket {
    tcp: TcpStream,
    reader: BufReader<TcpStream>,
}

impl WebSocket {
    /// Registers a name, as slot 0 of an instance of the same name.
    pub(super) fn register(target: &Target, tally: &Tally, name: &str) -> io::Result<Self> {
        let mut tcp = connect(target)?;
        tally.connected();
        let head = format!(
            "GET {PATH} HTTP/1.1\r\nHost: hub.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n{HUB_NAME}: {name}\r\n{HUB_INSTANCE}: {name}\r\n\
             {HUB_SLOT}: 0\r\n\r\n"
        );
        tcp.write_all(head.as_bytes())?;
        let mut reader = BufReader::new(tcp.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 101") {
            tally.ended(line.trim());
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line)?;
        }
        Ok(Self { tcp, reader })
    }

    /// The same, as far as every HTTP/2 server goes: after its SETTINGS on the hub's first lane the hub shows the name.
    pub(super) fn serve(target: &Target, tally: &Tally, name: &str) -> io::Result<Self> {
        let mut ws = Self::register(target, tally, name)?;
        ws.until(&OPEN_OF_LANE_1)?;
        ws.write(&on_lane(&frame(SETTINGS, 0, 0, &[])))?;
        Ok(ws)
    }

    /// Reads until the hub says this.
    pub(super) fn until(&mut self, wanted: &[u8]) -> io::Result<()> {
        let mut heard = Vec::new();
        while !heard.windows(wanted.len()).any(|frame| frame == wanted) {
            let mut chunk = [0; 4096];
            let bytes = self.reader.read(&mut chunk)?;
            if bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            heard.extend_from_slice(&chunk[..bytes]);
        }
        Ok(())
    }

    /// Writes it all.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tcp.write_all(bytes)
    }

    /// Reads one chunk of whatever the hub says.
    pub(super) fn read(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 4096];
        self.reader.read(&mut chunk)
    }

    /// Reads and forgets whatever the hub says, in a thread of its own.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        let mut tcp = self.tcp.try_clone()?;
        thread::spawn(move || io::copy(&mut tcp, &mut io::sink()));
        Ok(())
    }
}

/// A message in one frame, with a mask of zeros, which leaves the bytes as they are.
pub(super) fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    const FIN: u8 = 0x80;
    const MASKED: u8 = 0x80;
    let mut out = vec![FIN | kind];
    match payload.len() {
        length @ 0..126 => out.push(MASKED | length as u8),
        length @ 126..65_536 => {
            out.push(MASKED | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend_from_slice(payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_in_rfc_6455() {
        for (length, head) in [
            (125, &[0x82, 0x80 | 125][..]),
            (126, &[0x82, 0x80 | 126, 0, 126]),
            (65_536, &[0x82, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let message = message(BINARY, &vec![1; length]);
            assert_eq!(&message[..head.len()], head);
            assert_eq!(message.len(), head.len() + 4 + length);
        }
    }
}

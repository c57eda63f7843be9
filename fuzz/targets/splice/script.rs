//! What the hostile peers do, step by step, as the input says it: a letter, and what the letter wants.
//!
//! Small letters are the client's, capitals the agent's. Letters that mean nothing are left out.

use tokio::time::Duration;

use crate::frames::{self, frame};
use crate::world::{HONEST, HOSTILE};

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Agent,
}

/// One thing that happens.
#[derive(Debug)]
pub enum Step {
    /// Bytes on the HTTP/2 connection.
    Say(Side, Vec<u8>),
    /// A whole WebSocket message beside it, or what should be one.
    Aside(Vec<u8>),
    /// All that can happen does, and time passes; the peers read what they were sent.
    Pause(Duration),
    /// It reads no more; or it does again.
    Deafen(Side),
    /// It is gone without a word.
    HangUp(Side),
    /// The bystander calls the hostile agent, or the honest one.
    Call(&'static str),
}

/// Steps of an input.
#[derive(Debug)]
pub struct Script<'i>(&'i [u8]);

impl<'i> Script<'i> {
    /// Reads `input`.
    pub fn new(input: &'i [u8]) -> Self {
        Self(input)
    }

    fn byte(&mut self) -> u8 {
        let (&byte, rest) = self.0.split_first().unwrap_or((&b'0', &[]));
        self.0 = rest;
        byte
    }

    /// `0` to `9`: the connection, the first seven streams of a client, one of a server, the highest.
    fn stream(&mut self) -> u32 {
        match self.byte() & 15 {
            0 => 0,
            8 => 2,
            9.. => u32::MAX >> 1,
            nth => 2 * u32::from(nth) - 1,
        }
    }

    fn size(&mut self) -> usize {
        [0, 1, 5, 255, 256, 1000, 10_000, 16_384, 16_385, 65_536]
            [usize::from(self.byte() % 16 % 10)]
    }

    fn number(&mut self) -> u32 {
        [0, 1, 2, 255, 65_535, 1 << 20, u32::MAX >> 1, u32::MAX][usize::from(self.byte() & 7)]
    }

    /// As many bytes as the next one says.
    fn bytes(&mut self) -> &'i [u8] {
        let length = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }

    fn frame_of(&mut self, letter: u8, side: Side) -> Option<Vec<u8>> {
        Some(match letter {
            b'h' => self.head(side),
            b'd' => frame(frames::DATA, 0, self.stream(), &vec![b'd'; self.size()]),
            b'e' => frame(frames::DATA, frames::END_STREAM, self.stream(), &vec![0; self.size()]),
            b'f' => frame(frames::DATA, frames::PADDED, self.stream(), &vec![4; self.size()]),
            b't' => {
                let flags = frames::END_STREAM | frames::END_HEADERS;
                frame(frames::HEADERS, flags, self.stream(), &frames::trailers())
            }
            b'r' => {
                let (stream, code) = (self.stream(), u32::from(self.byte() & 15));
                frame(frames::RST_STREAM, 0, stream, &code.to_be_bytes())
            }
            b'w' => {
                let (stream, more) = (self.stream(), self.number());
                frame(frames::WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
            }
            b's' => {
                let (id, value) = (u16::from(self.byte() & 15), self.number());
                let setting = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
                frame(frames::SETTINGS, 0, 0, &setting)
            }
            b'a' => frame(frames::SETTINGS, frames::ACK, 0, &[]),
            b'p' => frame(frames::PING, self.byte() & 1, 0, b"12345678"),
            b'g' => {
                let (last, code) = (self.stream(), u32::from(self.byte() & 15));
                frame(frames::GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
            }
            b'c' => {
                frame(frames::CONTINUATION, self.byte() & 4, self.stream(), &frames::trailers())
            }
            b'o' => frame(frames::PRIORITY, 0, self.stream(), &[0, 0, 0, 1, 9]),
            b'u' => frame(frames::PUSH_PROMISE, 4, self.stream(), &[0, 0, 0, 2, 0x82]),
            b'x' => frame(self.byte(), self.byte(), self.stream(), self.bytes()),
            b'z' => self.bytes().to_vec(),
            _ => return None,
        })
    }

    /// The low half of its byte is its kind. A digit leaves the stream open, a letter ends it, and beyond
    /// ASCII the head is not whole.
    fn head(&mut self, side: Side) -> Vec<u8> {
        let (stream, kind) = (self.stream(), self.byte());
        let end = if kind & 16 == 0 { frames::END_STREAM } else { 0 };
        let whole = if kind & 128 == 0 { frames::END_HEADERS } else { 0 };
        let head = match side {
            Side::Client => frames::request(kind),
            Side::Agent => frames::response(kind),
        };
        let (first, rest) = head.split_at(head.len().min(16_384));
        let whole = if rest.is_empty() { whole } else { 0 };
        let mut said = frame(frames::HEADERS, end | whole, stream, first);
        let mut chunks = rest.chunks(16_384).peekable();
        while let Some(chunk) = chunks.next() {
            let flags = if chunks.peek().is_none() { frames::END_HEADERS } else { 0 };
            said.extend(frame(frames::CONTINUATION, flags, stream, chunk));
        }
        said
    }

    fn aside(&mut self, letter: u8) -> Option<Vec<u8>> {
        Some(match letter {
            b'K' => frames::message(frames::TEXT, br#"{"type":"drain"}"#),
            b'I' => frames::message(frames::PING_MESSAGE, self.bytes()),
            b'L' => frames::message(frames::CLOSE, self.bytes()),
            b'M' => frames::message(self.byte() & 15, self.bytes()),
            b'Y' => self.bytes().to_vec(),
            _ => return None,
        })
    }
}

impl Iterator for Script<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        while let [letter, rest @ ..] = self.0 {
            self.0 = rest;
            let side = if letter.is_ascii_uppercase() { Side::Agent } else { Side::Client };
            let step = match letter {
                b'.' => Some(Step::Pause(Duration::from_millis(1))),
                b'~' => Some(Step::Pause(Duration::from_secs(7))),
                b'b' => Some(Step::Call(HOSTILE)),
                b'B' => Some(Step::Call(HONEST)),
                b'q' | b'Q' => Some(Step::Deafen(side)),
                b'!' => Some(Step::HangUp(Side::Client)),
                b'?' => Some(Step::HangUp(Side::Agent)),
                _ => self.aside(*letter).map(Step::Aside).or_else(|| {
                    let said = self.frame_of(letter.to_ascii_lowercase(), side);
                    said.map(|said| Step::Say(side, said))
                }),
            };
            if step.is_some() {
                return step;
            }
        }
        None
    }
}

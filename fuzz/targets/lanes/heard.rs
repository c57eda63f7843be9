//! What a server makes of a WebSocket client's bytes, straight from RFC 6455 5.

use tunnel::limits::WS_IDLE_MESSAGES;
use tunnel::wire::Control;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What is heard before the first violation, Close, the end, or a flood of messages without data.
#[derive(Debug, Default)]
pub struct Heard {
    /// Whole messages, in order.
    pub said: Vec<Said>,
    /// Messages without data.
    idle: u32,
    /// Fragments without data.
    empty: u32,
}

/// One message.
#[derive(Debug)]
pub enum Said {
    /// A binary one.
    Message(Vec<u8>),
    /// A text.
    Control(Control),
}

struct Frame {
    is_final: bool,
    opcode: u8,
    payload: Vec<u8>,
}

impl Heard {
    /// Listens to `sent`.
    pub fn of(mut sent: &[u8]) -> Self {
        let mut heard = Self::default();
        let mut message: Option<(u8, Vec<u8>)> = None;
        while let Some(frame) = frame(&mut sent) {
            heard.empty += u32::from(frame.payload.is_empty() && !frame.is_final);
            message = match (frame.opcode, message) {
                (PING | PONG, message) if frame.is_final && frame.payload.len() <= 125 => {
                    if !heard.bears_idle() {
                        return heard;
                    }
                    message
                }
                (kind @ (TEXT | BINARY), None) => Some((kind, frame.payload)),
                (CONTINUATION, Some((kind, start))) => {
                    Some((kind, [start, frame.payload].concat()))
                }
                // Close, or a violation.
                _ => return heard,
            };
            let is_whole = frame.is_final && frame.opcode < 8;
            if let Some((kind, payload)) = message.take_if(|_| is_whole)
                && !heard.hear(kind, &payload)
            {
                return heard;
            }
        }
        heard
    }

    /// Whether there are so many fragments without data that it may end before all of this is heard.
    pub fn may_flood(&self) -> bool {
        self.empty > WS_IDLE_MESSAGES.burst
    }

    /// Whether the message is allowed.
    fn hear(&mut self, kind: u8, payload: &[u8]) -> bool {
        match (kind, str::from_utf8(payload)) {
            (BINARY, _) => self.said.push(Said::Message(payload.to_vec())),
            (_, Ok(text)) if self.bears_idle() => {
                self.said.push(Said::Control(Control::from_text(text)));
            }
            _ => return false,
        }
        true
    }

    /// Whether it is not one too many.
    fn bears_idle(&mut self) -> bool {
        self.idle += 1;
        self.idle <= WS_IDLE_MESSAGES.burst
    }
}

/// The next frame, if it is whole, masked, and has no reserved bit.
fn frame(sent: &mut &[u8]) -> Option<Frame> {
    let (&[first, second], rest) = sent.split_first_chunk()?;
    let (length, rest) = match second & 0x7f {
        126 => rest.split_first_chunk().map(|(n, rest)| (u16::from_be_bytes(*n).into(), rest))?,
        127 => rest.split_first_chunk().map(|(n, rest)| (u64::from_be_bytes(*n), rest))?,
        length => (length.into(), rest),
    };
    let (mask, rest) = rest.split_first_chunk::<4>()?;
    let (masked, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let is_sound = first & 0x70 == 0 && second & 0x80 != 0;
    *sent = rest;
    let payload = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    is_sound.then_some(Frame { is_final: first & 0x80 != 0, opcode: first & 0xf, payload })
}

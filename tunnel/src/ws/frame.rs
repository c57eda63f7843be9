//! The frames of a WebSocket (RFC 6455 5.2): their heads, and the masks that go with an agent's.

use crate::limits::WS_MAX_MESSAGE;
use crate::wire::CloseCode;

/// The longest head: two bytes, eight of length, four of mask.
const HEAD_BYTES: usize = 14;
const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
/// Bytes that are masked at once.
const MASK_BLOCK: usize = 128;
/// The longest payload of a control frame (RFC 6455 5.5).
pub(super) const CONTROL_BYTES: usize = 125;

/// What a client puts on the bytes that it sends, over and over (RFC 6455 5.3).
pub(super) type Mask = [u8; 4];

/// Which end of a WebSocket this is: what a client sends is masked, what a server sends is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

impl TryFrom<u8> for Opcode {
    type Error = FrameError;

    fn try_from(opcode: u8) -> Result<Self, FrameError> {
        match opcode {
            0 => Ok(Self::Continuation),
            1 => Ok(Self::Text),
            2 => Ok(Self::Binary),
            8 => Ok(Self::Close),
            9 => Ok(Self::Ping),
            10 => Ok(Self::Pong),
            unknown => Err(FrameError::Opcode(unknown)),
        }
    }
}

impl From<Opcode> for u8 {
    fn from(opcode: Opcode) -> Self {
        match opcode {
            Opcode::Continuation => 0,
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        }
    }
}

/// What a peer's frame breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("reserved bits are set, and no extension was agreed on")]
    Reserved,
    #[error("a frame with the unknown opcode {0}")]
    Opcode(u8),
    #[error("a client's frame without a mask")]
    Unmasked,
    #[error("a server's frame with a mask")]
    Masked,
    #[error("a control frame in fragments, or of more than {CONTROL_BYTES} bytes")]
    Control,
    #[error("a message of more than {WS_MAX_MESSAGE} bytes")]
    TooLarge,
    #[error("a fragment of no message")]
    NothingBegun,
    #[error("a new message amid the fragments of another")]
    Interleaved,
    #[error("text that is not UTF-8")]
    Text,
    #[error("a Close frame with a code that may not be sent, or with half of one")]
    Close,
}

impl FrameError {
    /// The code of the Close frame that tells the peer (RFC 6455 7.4.1).
    pub(super) fn code(self) -> CloseCode {
        match self {
            Self::TooLarge => CloseCode::Other(1009),
            Self::Text => CloseCode::Other(1007),
            _ => CloseCode::Protocol,
        }
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// It is all of its message, or the last of it.
    pub(super) is_last: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: Option<Mask>,
    /// Of the payload.
    pub(super) len: usize,
}

impl Head {
    /// Reads a head at the front of `bytes`, which came to `side`, and says how many bytes it takes. `None` where they
    /// are not all of it.
    pub(super) fn parse(bytes: &[u8], side: Side) -> Result<Option<(Self, usize)>, FrameError> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = Opcode::try_from(first & OPCODE)?;
        let is_last = first & FIN != 0;
        if first & RESERVED != 0 {
            return Err(FrameError::Reserved);
        }
        match (side, second & MASKED != 0) {
            (Side::Server, false) => return Err(FrameError::Unmasked),
            (Side::Client, true) => return Err(FrameError::Masked),
            _ => {}
        }
        let short = second & !MASKED;
        if opcode.is_control() && (!is_last || usize::from(short) > CONTROL_BYTES) {
            return Err(FrameError::Control);
        }
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((extended, rest)) = rest.split_at_checked(extended) else { return Ok(None) };
        let len = match extended {
            [] => u64::from(short),
            bytes => bytes.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
        };
        // Told by the head, before anything is kept of it.
        let len = usize::try_from(len).ok().filter(|len| *len <= WS_MAX_MESSAGE);
        let len = len.ok_or(FrameError::TooLarge)?;
        let mask = match (side, rest.first_chunk()) {
            (Side::Client, _) => None,
            (Side::Server, Some(mask)) => Some(*mask),
            (Side::Server, None) => return Ok(None),
        };
        let used = 2 + extended.len() + mask.map_or(0, |mask| mask.len());
        Ok(Some((Self { is_last, opcode, mask, len }, used)))
    }

    /// Its bytes, and how many they are.
    pub(super) fn bytes(&self) -> ([u8; HEAD_BYTES], usize) {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0] = u8::from(self.opcode) | if self.is_last { FIN } else { 0 };
        let len = self.len as u64;
        let mut used = match len {
            0..126 => {
                bytes[1] = len as u8;
                2
            }
            126..65_536 => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&len.to_be_bytes());
                10
            }
        };
        if let Some(mask) = self.mask {
            bytes[1] |= MASKED;
            bytes[used..used + mask.len()].copy_from_slice(&mask);
            used += mask.len();
        }
        (bytes, used)
    }
}

/// Puts a mask on bytes, or takes it off (RFC 6455 5.3); returns it as it goes on behind them. By words, of which a compiler
/// makes wider ones, and blocks of them, so that a loop over much turns less often.
pub(super) fn apply_mask(bytes: &mut [u8], mut mask: Mask) -> Mask {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (blocks, rest) = bytes.as_chunks_mut::<MASK_BLOCK>();
    for block in blocks {
        for word in block.as_chunks_mut().0 {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
    }
    let (words, rest) = rest.as_chunks_mut();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
    mask.rotate_left(rest.len() % size_of::<Mask>());
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(opcode: Opcode, is_last: bool, mask: Option<Mask>, len: usize) -> Head {
        Head { is_last, opcode, mask, len }
    }

    #[test]
    fn heads_are_read_as_they_were_written_however_they_are_cut() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            for (side, mask) in [(Side::Client, None), (Side::Server, Some([1, 2, 3, 4]))] {
                for opcode in [Opcode::Continuation, Opcode::Text, Opcode::Binary] {
                    let head = head(opcode, len % 2 == 0, mask, len);
                    let (bytes, used) = head.bytes();
                    assert_eq!(Head::parse(&bytes, side), Ok(Some((head, used))));
                    for cut in 0..used {
                        assert_eq!(Head::parse(&bytes[..cut], side), Ok(None), "{cut} of {used}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_breaks_the_protocol_is_told_by_its_head() {
        let large = [&[0x82, 127][..], &(WS_MAX_MESSAGE as u64 + 1).to_be_bytes()].concat();
        let huge = [&[0x82, 127][..], &[0xff; 8]].concat();
        let broken: &[(&[u8], FrameError)] = &[
            (&[0x92, 0], FrameError::Reserved),
            (&[0xc2, 0], FrameError::Reserved),
            (&[0x83, 0], FrameError::Opcode(3)),
            (&[0x8f, 0], FrameError::Opcode(15)),
            (&[0x82, 0x80], FrameError::Masked),
            (&[0x09, 0], FrameError::Control),
            (&[0x89, 126], FrameError::Control),
            (&large, FrameError::TooLarge),
            (&huge, FrameError::TooLarge),
        ];
        for (bytes, error) in broken {
            assert_eq!(Head::parse(bytes, Side::Client), Err(*error), "{bytes:x?}");
        }
        assert_eq!(Head::parse(&[0x82, 0], Side::Server), Err(FrameError::Unmasked));
    }

    #[test]
    fn a_mask_comes_off_as_it_was_put_on() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        // RFC 6455 5.7: "Hello", masked.
        let mut hello = *b"Hello";
        apply_mask(&mut hello, mask);
        assert_eq!(hello, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        for len in 0..100 {
            let plain: Vec<u8> = (0..len).collect();
            let mut bytes = plain.clone();
            apply_mask(&mut bytes, mask);
            for (at, byte) in bytes.iter().enumerate() {
                assert_eq!(*byte, plain[at] ^ mask[at % 4]);
            }
        }
    }
}

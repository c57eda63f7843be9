//! Looks at the frames of a WebSocket below its messages (RFC 6455 5.2): fragments are put together out of sight
//! of whoever reads messages, for as long as some are there.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio_tungstenite::tungstenite::Error as WsError;

use crate::limits::{SMALL_FRAME, SMALL_READ, WORK_PER_FRAME, WS_IDLE_MESSAGES, WS_MESSAGE_BYTES};
use crate::tap::{Tap, Tapped, read_at_most};
use crate::token_bucket::TokenBucket;
use crate::turn::Turn;

/// The longest head: two bytes, eight of length, four of mask.
const HEAD_BYTES: usize = 14;
const FIN: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CONTINUATION: u8 = 0;
const MASKED: u8 = 0x80;

/// The peer sends fragments that bring nothing.
#[derive(Debug, thiserror::Error)]
#[error("too many fragments without data")]
struct Flood;

pub(super) fn is_flood(error: &WsError) -> bool {
    matches!(error, WsError::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<Flood>()))
}

/// Lets so many fragments through as a turn has, and of those without data only a few.
#[derive(Debug)]
pub struct Fragments {
    frames: Frames,
    /// Those of the last read were small.
    small: bool,
    turn: Turn,
    empty: TokenBucket,
    /// There were too many of them. What came before is still read.
    flooded: bool,
}

impl Fragments {
    /// Puts them on `io`, from which `read` has been read already.
    pub fn on<S>(io: S, read: &[u8]) -> Tapped<S, Self> {
        let empty = TokenBucket::new(WS_IDLE_MESSAGES);
        let (frames, turn) = (Frames::default(), Turn::default());
        let mut fragments = Self { frames, small: false, turn, empty, flooded: false };
        fragments.look(read);
        Tapped::new(io, fragments)
    }

    fn look(&mut self, bytes: &[u8]) {
        let Self { frames, turn, empty, flooded, .. } = self;
        let mut fragments = 0;
        frames.follow(bytes, |head| {
            if head.len > 0 {
                empty.give_back(1);
            } else if head.is_unfinished {
                *flooded |= empty.take(1).is_err();
            }
            if head.is_unfinished || head.continues {
                fragments += 1;
                turn.did(WORK_PER_FRAME);
            }
        });
        if frames.skip > WS_MESSAGE_BYTES as u64 {
            // Ours are not as long, and are counted when they are whole.
            turn.did(bytes.len());
        }
        self.small = bytes.len() < fragments * SMALL_FRAME;
    }
}

impl Tap for Fragments {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.flooded {
            return Poll::Ready(Err(io::Error::other(Flood)));
        }
        ready!(self.turn.poll(cx));
        let before = buf.filled().len();
        let read = if self.small {
            read_at_most(io, cx, buf, SMALL_READ)
        } else {
            Pin::new(io).poll_read(cx, buf)
        };
        let new = &buf.filled()[before..];
        if new.is_empty() {
            self.turn.over();
        } else {
            self.look(new);
        }
        read
    }
}

/// What counts of a frame's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    len: u64,
    /// More of its message follows.
    is_unfinished: bool,
    /// It goes on with a message.
    continues: bool,
}

/// Follows frames in bytes that pass by.
#[derive(Debug, Default)]
struct Frames {
    /// Bytes until the next head.
    skip: u64,
    head: [u8; HEAD_BYTES],
    /// How much of it has come.
    have: usize,
}

impl Frames {
    fn follow(&mut self, mut bytes: &[u8], mut each: impl FnMut(Head)) {
        while !bytes.is_empty() {
            let payload = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
            self.skip -= payload as u64;
            bytes = &bytes[payload..];
            let wanted = head_bytes(&self.head[..self.have]) - self.have;
            let taken = wanted.min(bytes.len());
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have >= 2 && self.have == head_bytes(&self.head[..self.have]) {
                let head = Head::parse(&self.head[..self.have]);
                (self.skip, self.have) = (head.len, 0);
                each(head);
            }
        }
    }
}

/// How long a head is that begins with these bytes, as far as they tell.
fn head_bytes(begun: &[u8]) -> usize {
    let Some(second) = begun.get(1) else {
        return 2;
    };
    let mask = if second & MASKED == 0 { 0 } else { 4 };
    2 + mask + length_bytes(*second)
}

fn length_bytes(second: u8) -> usize {
    match second & !MASKED {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

impl Head {
    /// Of a whole one.
    fn parse(head: &[u8]) -> Self {
        let (first, second) = (head[0], head[1]);
        let extended = &head[2..2 + length_bytes(second)];
        let len = match extended {
            [] => u64::from(second & !MASKED),
            _ => extended.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
        };
        let continues = first & OPCODE == CONTINUATION;
        Self { len, is_unfinished: first & FIN == 0, continues }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    const BINARY: u8 = 2;

    /// A frame with a mask of zeros.
    fn frame(first: u8, len: u64) -> Vec<u8> {
        let mut frame = vec![first];
        match len {
            0..126 => frame.push(MASKED | len as u8),
            126..65_536 => {
                frame.push(MASKED | 126);
                frame.extend((len as u16).to_be_bytes());
            }
            _ => {
                frame.push(MASKED | 127);
                frame.extend(len.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.resize(frame.len() + len as usize, 0xff);
        frame
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let said = [
            frame(BINARY, 0),
            frame(CONTINUATION, 125),
            frame(CONTINUATION, 126),
            vec![BINARY | FIN, 3, 1, 2, 3],
            frame(CONTINUATION | FIN, 65_536),
        ];
        let input = said.concat();
        let head = |len, is_unfinished, continues| Head { len, is_unfinished, continues };
        let expected = [
            head(0, true, false),
            head(125, true, true),
            head(126, true, true),
            head(3, false, false),
            head(65_536, false, true),
        ];
        for size in [1, 2, 3, 7, 131, input.len()] {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for piece in input.chunks(size) {
                frames.follow(piece, |head| found.push(head));
            }
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    /// What is read before somebody else gets a turn, and how reading ends.
    async fn read_in_turn(said: &[u8]) -> (usize, io::Result<usize>) {
        let mut io = Fragments::on(said, &[]);
        let mut buf = [0; 16 << 10];
        let mut first = 0;
        loop {
            match poll!(pin!(io.read(&mut buf))) {
                Poll::Ready(Ok(read @ 1..)) => first += read,
                Poll::Ready(Err(error)) => return (first, Err(error)),
                Poll::Ready(Ok(0)) | Poll::Pending => break,
            }
        }
        (first, io.read_to_end(&mut Vec::new()).await)
    }

    #[tokio::test(start_paused = true)]
    async fn small_fragments_are_read_in_turns() {
        let said = frame(CONTINUATION, 1).repeat(10_000);
        let (first, rest) = read_in_turn(&said).await;
        assert!(first <= 16 << 10, "{first}");
        assert_eq!(first + rest.expect("read"), said.len());
        let bulk = frame(BINARY | FIN, WS_MESSAGE_BYTES as u64).repeat(100);
        assert_eq!(read_in_turn(&bulk).await.0, bulk.len(), "messages have turns of their own");
    }

    #[tokio::test(start_paused = true)]
    async fn empty_fragments_are_a_flood_but_where_others_bring_data() {
        let empty = frame(CONTINUATION, 0);
        let (_, rest) = read_in_turn(&empty.repeat(2 * WS_IDLE_MESSAGES.burst as usize)).await;
        assert!(is_flood(&WsError::Io(rest.expect_err("a flood"))));
        let streamed = [frame(BINARY, 0), frame(CONTINUATION, 1), frame(FIN, 0)].concat();
        read_in_turn(&streamed.repeat(1000)).await.1.expect("each brings a byte");
    }
}

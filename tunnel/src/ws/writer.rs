//! Writes the messages of a WebSocket to a byte stream, without copying what is large.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use super::frame::{Head, Mask, Opcode, Side, apply_mask};
use super::masks::Masks;
use super::message::Message;
use crate::limits::{WS_COPY_BELOW, WS_WRITE_BUFFER};
use crate::pieces::{Part, Pieces, advance};

/// Pieces that are written at once: as many as a full buffer has of the smallest that are no copies, and their heads.
const PIECES: usize = 2 * (WS_WRITE_BUFFER / WS_COPY_BELOW + 1);
/// Memory that is begun with for small messages, and the heads of large ones.
const SMALL: usize = 1024;

/// What was said and is not written.
#[derive(Debug)]
pub(super) struct Writer {
    masks: Option<Masks>,
    pieces: VecDeque<Bytes>,
    /// Small messages, and heads of large ones, behind all pieces.
    small: BytesMut,
    len: usize,
    /// Something was written since the last flush.
    unflushed: bool,
}

impl Writer {
    pub(super) fn new(side: Side) -> Self {
        let masks = (side == Side::Client).then(Masks::new);
        let (pieces, small) = (VecDeque::new(), BytesMut::new());
        Self { masks, pieces, small, len: 0, unflushed: false }
    }

    /// Whether another message may be put in.
    pub(super) fn has_room(&self) -> bool {
        self.len < WS_WRITE_BUFFER
    }

    /// Whether nothing waits to be written or flushed.
    pub(super) fn is_flushed(&self) -> bool {
        self.len == 0 && !self.unflushed
    }

    /// Bytes that it holds.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.small.capacity() + self.pieces.iter().map(Bytes::len).sum::<usize>()
    }

    /// Puts a message behind all others.
    pub(super) fn put(&mut self, message: Message) {
        let (opcode, payload) = match message {
            Message::Binary(bytes) => (Opcode::Binary, bytes),
            Message::Text(text) => (Opcode::Text, text.into()),
            Message::Ping(bytes) => (Opcode::Ping, bytes),
            Message::Pong(bytes) => (Opcode::Pong, bytes),
            Message::Close(close) => {
                (Opcode::Close, close.map_or_else(Bytes::new, |close| close.payload()))
            }
        };
        self.put_pieces(opcode, payload.into());
    }

    /// Puts a message with this payload behind all others.
    pub(super) fn put_pieces(&mut self, opcode: Opcode, payload: Pieces) {
        let mut mask = self.masks.as_mut().map(Masks::next);
        let (head, used) = Head { is_last: true, opcode, mask, len: payload.len() }.bytes();
        if self.small.capacity() == 0 {
            self.small.reserve(SMALL);
        }
        self.small.extend_from_slice(&head[..used]);
        self.len += used + payload.len();
        let tail = payload.into_parts(|part| match part {
            Part::Small(bytes) => self.copy(bytes, &mut mask),
            Part::Large(bytes) => self.keep(bytes, &mut mask),
        });
        if tail.len() < WS_COPY_BELOW {
            self.copy(&tail, &mut mask);
        } else {
            self.keep(tail.freeze(), &mut mask);
        }
    }

    fn copy(&mut self, bytes: &[u8], mask: &mut Option<Mask>) {
        let at = self.small.len();
        self.small.extend_from_slice(bytes);
        if let Some(mask) = mask {
            *mask = apply_mask(&mut self.small[at..], *mask);
        }
    }

    fn keep(&mut self, bytes: Bytes, mask: &mut Option<Mask>) {
        if !self.small.is_empty() {
            self.pieces.push_back(self.small.split().freeze());
        }
        let Some(mask) = mask else {
            return self.pieces.push_back(bytes);
        };
        // In place, unless somebody else holds the bytes too.
        let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
        *mask = apply_mask(&mut bytes, *mask);
        self.pieces.push_back(bytes.freeze());
    }

    /// Writes everything, as far as the stream takes it.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.len > 0 {
            let mut slices = [IoSlice::new(&[]); PIECES];
            let pieces = self.pieces.iter().map(|piece| &**piece).chain([&*self.small]);
            let mut used = 0;
            for (slice, piece) in slices.iter_mut().zip(pieces) {
                *slice = IoSlice::new(piece);
                used += 1;
            }
            let written = ready!(Pin::new(&mut *io).poll_write_vectored(cx, &slices[..used]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.wrote(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes everything, and sees it off.
    pub(super) fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_write(io, cx))?;
        if self.unflushed {
            ready!(Pin::new(io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, bytes: usize) {
        self.unflushed = true;
        self.len -= bytes;
        self.small.advance(advance(&mut self.pieces, bytes));
        if !self.pieces.is_empty() {
            return;
        }
        if self.small.is_empty() {
            // What was written of its block counts no more, but is there.
            self.small = BytesMut::new();
            self.pieces.shrink_to(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_messages_are_masked_where_they_are() {
        let mut writer = Writer::new(Side::Client);
        let message = BytesMut::zeroed(WS_COPY_BELOW);
        let at = message.as_ptr();
        writer.put(Message::Binary(message.freeze()));
        assert_eq!(writer.pieces[1].as_ptr(), at);
        let shared = Bytes::from(vec![0; WS_COPY_BELOW]);
        writer.put(Message::Binary(shared.clone()));
        assert!(shared.iter().all(|byte| *byte == 0), "somebody else's");
    }

    /// The mask goes on over the whole message, however it is cut.
    #[test]
    fn pieces_are_one_message() {
        let part = |len: usize, byte| Bytes::from(vec![byte; len]);
        let parts = [part(5, 1), part(WS_COPY_BELOW + 1, 2), part(6, 3), part(WS_COPY_BELOW, 4)];
        for side in [Side::Server, Side::Client] {
            let mut pieces = Pieces::from(parts[0].clone());
            pieces.push(parts[1].clone());
            pieces.extend(&parts[2]);
            pieces.push(parts[3].clone());
            pieces.extend(b"end");
            let mut writer = Writer::new(side);
            writer.put_pieces(Opcode::Binary, pieces);
            let written: Vec<&[u8]> = writer.pieces.iter().map(|piece| &**piece).collect();
            let mut written = [written.concat(), writer.small.to_vec()].concat();
            assert_eq!((writer.len, writer.pieces.len()), (written.len(), 4));
            let other = if side == Side::Server { Side::Client } else { Side::Server };
            let (head, used) = Head::parse(&written, other).expect("valid").expect("whole");
            let payload = &mut written[used..];
            assert_eq!(head.len, payload.len());
            apply_mask(payload, head.mask.unwrap_or_default());
            assert!(payload == [&parts.concat()[..], b"end"].concat());
        }
    }
}

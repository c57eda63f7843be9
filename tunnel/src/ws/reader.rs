//! Reads the messages of a WebSocket off a byte stream, without copying what is large.

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use super::frame::{FrameError, Head, Opcode, Side, apply_mask};
use super::message::{Close, Message};
use crate::limits::{WS_MAX_MESSAGE, WS_MESSAGE_BYTES, WS_READ, WS_READ_BULK};

/// So few bytes of a frame do not keep the block that they were read into.
const LITTLE: usize = 1024;

/// Why nothing more is read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// What a frame has brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A message that is whole now, or a control frame.
    Whole(Message),
    /// More of a message that is not.
    Fragment {
        /// Bytes of it.
        len: usize,
    },
}

/// What has come and was not taken.
#[derive(Debug)]
pub(super) struct Reader {
    side: Side,
    buf: BytesMut,
    /// The frame whose payload comes.
    head: Option<Head>,
    /// The message whose fragments come.
    begun: Option<(Opcode, BytesMut)>,
    /// The last read brought so much that the next one is taken as it is.
    is_bulk: bool,
}

impl Reader {
    /// One that has read `read` already.
    pub(super) fn new(side: Side, read: &[u8]) -> Self {
        Self { side, buf: BytesMut::from(read), head: None, begun: None, is_bulk: false }
    }

    /// The next frame; `None` where the stream has ended. While nothing comes, it holds what there is of a frame, and of
    /// what is little no more.
    pub(super) fn poll_frame<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Incoming>, ReadError>> {
        loop {
            if let Some(incoming) = self.next_frame()? {
                return Poll::Ready(Ok(Some(incoming)));
            }
            if ready!(self.poll_fill(io, cx))? == 0 {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// Reads more. Much is read into a block that its messages then share; little is copied into as much as it needs, for
    /// each WebSocket would hold the rest for as long as it is idle.
    fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let read = if self.is_bulk {
            if self.room() < WS_READ / 2 {
                self.begin_block(WS_READ.saturating_sub(self.buf.len()).max(WS_READ / 2));
            }
            pin!(io.read_buf(&mut self.buf)).poll(cx)
        } else {
            self.poll_little(io, cx)
        };
        if read.is_pending() && self.buf.len() < LITTLE {
            self.begin_block(0);
        }
        let read = ready!(read)?;
        self.is_bulk = read >= WS_READ_BULK;
        Poll::Ready(Ok(read))
    }

    fn poll_little<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; WS_READ / 2];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(io).poll_read(cx, &mut read))?;
        let read = read.filled();
        if self.room() < read.len() {
            // Twice what there is, so that what trickles in is not copied each time.
            self.begin_block(read.len().max(self.buf.len()));
        }
        self.buf.extend_from_slice(read);
        Poll::Ready(Ok(read.len()))
    }

    /// What still fits into the block.
    fn room(&self) -> usize {
        self.buf.capacity() - self.buf.len()
    }

    /// What is left goes into a block of its own, with so much room behind it. None grows, which would double it: whoever
    /// keeps a piece of it keeps all of it. So does an empty one of what was taken from it.
    fn begin_block(&mut self, room: usize) {
        let mut block = BytesMut::with_capacity(self.buf.len() + room);
        block.extend_from_slice(&self.buf);
        self.buf = block;
    }

    /// Bytes that it holds.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.buf.capacity()
    }

    fn next_frame(&mut self) -> Result<Option<Incoming>, FrameError> {
        let head = match self.head {
            Some(head) => head,
            None => {
                let Some((head, used)) = Head::parse(&self.buf, self.side)? else {
                    return Ok(None);
                };
                self.check(&head)?;
                self.buf.advance(used);
                *self.head.insert(head)
            }
        };
        if self.buf.len() < head.len {
            return Ok(None);
        }
        self.head = None;
        let mut payload = self.buf.split_to(head.len);
        if head.len > WS_MESSAGE_BYTES {
            // Of nobody that we know: its block is larger than ours.
            self.begin_block(0);
        }
        if let Some(mask) = head.mask {
            apply_mask(&mut payload, mask);
        }
        self.take(head, payload).map(Some)
    }

    /// Whether a frame may come now.
    fn check(&self, head: &Head) -> Result<(), FrameError> {
        let begun = self.begun.as_ref().map(|(_, begun)| begun.len());
        match (head.opcode, begun) {
            (Opcode::Continuation, None) => Err(FrameError::NothingBegun),
            (Opcode::Text | Opcode::Binary, Some(_)) => Err(FrameError::Interleaved),
            (Opcode::Continuation, Some(len)) if len + head.len > WS_MAX_MESSAGE => {
                Err(FrameError::TooLarge)
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, head: Head, payload: BytesMut) -> Result<Incoming, FrameError> {
        let message = match head.opcode {
            // It may wait for long.
            Opcode::Ping => Message::Ping(Bytes::copy_from_slice(&payload)),
            Opcode::Pong => Message::Pong(payload.freeze()),
            Opcode::Close => Message::Close(Close::parse(&payload)?),
            opcode if head.is_last && self.begun.is_none() => whole(opcode, payload)?,
            opcode => {
                let (_, begun) = self.begun.get_or_insert_with(|| (opcode, BytesMut::new()));
                begun.extend_from_slice(&payload);
                match self.begun.take_if(|_| head.is_last) {
                    Some((opcode, message)) => whole(opcode, message)?,
                    None => return Ok(Incoming::Fragment { len: head.len }),
                }
            }
        };
        Ok(Incoming::Whole(message))
    }
}

fn whole(opcode: Opcode, payload: BytesMut) -> Result<Message, FrameError> {
    if opcode == Opcode::Binary {
        return Ok(Message::Binary(payload.freeze()));
    }
    String::from_utf8(payload.into()).map(Message::Text).map_err(|_| FrameError::Text)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;
    use crate::limits::LANE_COPY_BELOW;

    fn bulk(len: usize) -> Vec<u8> {
        let head = Head { is_last: true, opcode: Opcode::Binary, mask: Some([1; 4]), len };
        let (head, used) = head.bytes();
        [&head[..used], &vec![1; len]].concat()
    }

    async fn next(reader: &mut Reader, io: &mut &[u8]) -> Bytes {
        let frame = poll_fn(|cx| reader.poll_frame(io, cx)).await.expect("valid");
        let Some(Incoming::Whole(Message::Binary(bytes))) = frame else { panic!("{frame:?}") };
        assert!(bytes.iter().all(|byte| *byte == 0), "the mask is off");
        bytes
    }

    /// What is large is taken out of the read that it came in: two of our largest.
    #[tokio::test]
    async fn large_messages_stay_where_they_are() {
        let message = bulk(WS_MESSAGE_BYTES);
        let said = message.repeat(9);
        let (mut reader, mut io) = (Reader::new(Side::Server, &[]), &said[..]);
        let mut held = Vec::new();
        for _ in 0..9 {
            held.push(next(&mut reader, &mut io).await);
        }
        let starts: Vec<usize> = held.iter().map(|bytes| bytes.as_ptr() as usize).collect();
        let apart = starts.windows(2).filter(|two| two[1].wrapping_sub(two[0]) == message.len());
        // The first read is copied, for nobody knew how much would come.
        assert!(apart.count() >= 4, "{starts:x?}");
    }

    /// However the reads cut what comes: a block is largest when it has just been read into.
    #[tokio::test]
    async fn a_piece_holds_on_to_little_more_than_itself() {
        let said = [WS_MESSAGE_BYTES, 1, LANE_COPY_BELOW, WS_READ_BULK, 7, WS_MAX_MESSAGE];
        let said: Vec<u8> = said.iter().flat_map(|len| bulk(*len)).collect();
        for pipe in [700, 7 << 10, WS_READ_BULK, 17 << 10, WS_READ] {
            let (mut io, mut peer) = duplex(pipe);
            let mut reader = Reader::new(Side::Server, &[]);
            let says = async {
                for _ in 0..20 {
                    peer.write_all(&said).await.expect("read");
                }
                drop(peer);
            };
            let reads = async {
                let mut held = VecDeque::new();
                while poll_fn(|cx| reader.poll_fill(&mut io, cx)).await.expect("read") > 0 {
                    let is_ours = reader.head.is_none_or(|head| head.len <= WS_MESSAGE_BYTES);
                    let block = reader.buf.capacity();
                    assert!(!is_ours || block <= 4 * LANE_COPY_BELOW, "{block}, pipe {pipe}");
                    while let Some(frame) = reader.next_frame().expect("valid") {
                        held.push_back(frame);
                    }
                    held.drain(..held.len().saturating_sub(2));
                }
            };
            tokio::join!(says, reads);
        }
    }
}

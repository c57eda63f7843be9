//! What must be whole before it is passed on: Connect's unary messages, whose length, or whose outcome, is said first.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;

use super::body::BodyError;
use crate::guard::held_bytes::Holding;
use crate::limits::WEB_MESSAGE_MAX;

/// Bytes that are passed on at once of what is whole: as many leave the hub's count before somebody has taken them.
const PIECE: usize = 16 << 10;

/// What a connection holds so.
#[derive(Debug)]
pub(super) struct Room(Mutex<(usize, Holding)>);

/// A body that is all there. As its own body, it is given back as it is taken.
#[derive(Debug)]
pub(super) struct Whole {
    held: Held,
    pub(super) trailers: Option<HeaderMap>,
}

/// Bytes that count until they have been taken.
#[derive(Debug)]
struct Held {
    room: Arc<Room>,
    bytes: BytesMut,
}

/// Why it is not whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum WholeError {
    #[error("it is too large")]
    TooLarge,
    #[error("the hub holds too much")]
    Full,
    #[error("{0}")]
    Broken(BodyError),
}

impl Room {
    pub(super) fn new(holding: Holding) -> Arc<Self> {
        Arc::new(Self(Mutex::new((0, holding))))
    }

    fn take(&self, bytes: usize) -> Result<(), WholeError> {
        if self.0.lock().1.is_too_much() {
            return Err(WholeError::Full);
        }
        self.change(|held| held + bytes);
        Ok(())
    }

    fn change(&self, to: impl Fn(usize) -> usize) {
        let (held, holding) = &mut *self.0.lock();
        *held = to(*held);
        holding.set(*held);
    }
}

impl Whole {
    /// Reads a body to its end, behind `first`.
    ///
    /// # Errors
    /// It broke, or there is more of it than there is room for.
    pub(super) async fn read<B>(body: B, first: &[u8], room: &Arc<Room>) -> Result<Self, WholeError>
    where
        B: HttpBody<Data = Bytes, Error: Into<BodyError>>,
    {
        let held = Held { room: room.clone(), bytes: BytesMut::new() };
        let mut whole = Self { held, trailers: None };
        whole.add(first)?;
        let mut body = pin!(body);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| WholeError::Broken(error.into()))?;
            match frame.into_data() {
                Ok(data) => whole.add(&data)?,
                Err(frame) => whole.trailers = frame.into_trailers().ok(),
            }
        }
        Ok(whole)
    }

    fn add(&mut self, data: &[u8]) -> Result<(), WholeError> {
        if self.held.bytes.len() + data.len() > WEB_MESSAGE_MAX {
            return Err(WholeError::TooLarge);
        }
        self.held.room.take(data.len())?;
        self.held.bytes.extend_from_slice(data);
        Ok(())
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.held.bytes
    }

    /// Takes what stands in front off.
    pub(super) fn skip(&mut self, bytes: usize) {
        drop(self.held.split(bytes));
    }
}

impl Held {
    fn split(&mut self, most: usize) -> Bytes {
        let piece = self.bytes.split_to(most.min(self.bytes.len())).freeze();
        self.room.change(|held| held - piece.len());
        piece
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.change(|held| held - self.bytes.len());
    }
}

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let piece = self.held.split(PIECE);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.held.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.held.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;
    use crate::guard::held_bytes::HeldBytes;
    use crate::limits::HELD_STEP;

    #[tokio::test]
    async fn what_is_whole_counts_until_it_is_taken() {
        let all = HeldBytes::new(usize::MAX);
        let room = Room::new(all.connection([10, 0, 0, 1].into()));
        let body = Full::new(Bytes::from(vec![0; 4 * HELD_STEP]));
        let mut whole = Whole::read(body, b"first", &room).await.expect("room");
        whole.skip(5);
        assert_eq!(all.total(), 4 * HELD_STEP + 5);
        whole.frame().await.expect("a piece").expect("bytes");
        assert!(all.total() <= 3 * HELD_STEP + 5, "{}", all.total());
        drop(whole);
        assert_eq!(all.total(), 0);
        let too_much = Full::new(Bytes::from(vec![0; WEB_MESSAGE_MAX]));
        let error = Whole::read(too_much, b"1", &room).await.expect_err("too large");
        assert!(matches!(error, WholeError::TooLarge));
        assert_eq!(all.total(), 0);
    }
}

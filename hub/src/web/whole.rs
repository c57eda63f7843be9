//! What must be whole before it is passed on: Connect's unary messages, whose length, or whose outcome, is said first.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use parking_lot::Mutex;
use tokio::pin;

use super::body::BodyError;
use crate::guard::held_bytes::Holding;
use crate::limits::WEB_MESSAGE_MAX;

/// What a connection holds so.
#[derive(Debug)]
pub(super) struct Room(Mutex<(usize, Holding)>);

/// It, until it is passed on.
#[derive(Debug)]
pub(super) struct Whole<'r> {
    room: &'r Room,
    pub(super) bytes: BytesMut,
    pub(super) trailers: Option<HeaderMap>,
}

/// Why it is not whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum WholeError {
    #[error(
        "the message is larger than the {WEB_MESSAGE_MAX} bytes that the hub takes of one in Connect's unary form"
    )]
    TooLarge,
    #[error("too many bytes of your calls wait in the hub: try again when some have been taken")]
    Full,
    #[error("{0}")]
    Broken(BodyError),
}

impl Room {
    pub(super) fn new(holding: Holding) -> Self {
        Self(Mutex::new((0, holding)))
    }

    fn took(&self, bytes: usize) -> Result<(), WholeError> {
        let mut held = self.0.lock();
        if held.1.is_too_much() {
            return Err(WholeError::Full);
        }
        held.0 += bytes;
        let all = held.0;
        held.1.set(all);
        Ok(())
    }

    fn gave(&self, bytes: usize) {
        let mut held = self.0.lock();
        held.0 -= bytes;
        let all = held.0;
        held.1.set(all);
    }
}

impl<'r> Whole<'r> {
    /// Reads a body to its end.
    ///
    /// # Errors
    /// It broke, or there is more of it than there is room for.
    pub(super) async fn read<B>(body: B, room: &'r Room) -> Result<Self, WholeError>
    where
        B: Body<Data = Bytes, Error: Into<BodyError>>,
    {
        pin!(body);
        let mut whole = Self { room, bytes: BytesMut::new(), trailers: None };
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
        if self.bytes.len() + data.len() > WEB_MESSAGE_MAX {
            return Err(WholeError::TooLarge);
        }
        self.room.took(data.len())?;
        self.bytes.extend_from_slice(data);
        Ok(())
    }
}

impl Drop for Whole<'_> {
    fn drop(&mut self) {
        self.room.gave(self.bytes.len());
    }
}

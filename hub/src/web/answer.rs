//! The body of an answer that says in its last frame how the call has ended: messages as they come, then that.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, Incoming};

use super::body::BodyError;
use super::frames::Frames;
use super::outcome::{Deadline, Outcome};

/// Why an answer breaks off: whatever followed would be taken for the rest of a message.
const CUT_OFF: &str = "the call ended in the middle of a message";

/// One of gRPC-Web, or of Connect.
pub(super) struct Answer {
    body: Incoming,
    deadline: Deadline,
    frames: Frames,
    form: Form,
    is_over: bool,
}

/// How it is put.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// The last frame, of trailers that have a status.
    pub(super) last: fn(HeaderMap) -> Bytes,
    /// What becomes of each piece.
    pub(super) piece: fn(Bytes) -> Bytes,
}

impl Answer {
    pub(super) fn new(body: Incoming, deadline: Deadline, form: Form) -> Self {
        Self { body, deadline, frames: Frames::default(), form, is_over: false }
    }

    fn frame(&self, bytes: Bytes) -> Frame<Bytes> {
        Frame::data((self.form.piece)(bytes))
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let mut trailers = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.frames.came(&data);
                    return Poll::Ready(Some(Ok(self.frame(data))));
                }
                Err(frame) => frame.into_trailers().unwrap_or_default(),
            },
            None => HeaderMap::new(),
            Some(Err(error)) => Outcome::of_error(&error, self.deadline).trailers(),
        };
        self.is_over = true;
        if !self.frames.are_whole() {
            return Poll::Ready(Some(Err(CUT_OFF.into())));
        }
        if Outcome::told(&trailers).is_none() {
            trailers.extend(Outcome::missing().trailers());
        }
        let last = (self.form.last)(trailers);
        Poll::Ready(Some(Ok(self.frame(last))))
    }
}

//! What is left of a stream on a session when its call is over for the client: it is cancelled when its
//! turn has come, unless it ends by itself before.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};

use crate::origin::Party;
use crate::session::Permit;
use crate::upload_window::UploadGate;

/// A stream that nobody waits for.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) send: SendStream<Bytes>,
    pub(super) answer: Answer,
    /// The request was passed on whole.
    pub(super) request_ended: bool,
    /// What was sent and not read takes up the session's window until the stream is closed.
    pub(super) _gate: Option<UploadGate>,
    /// The stream counts against the upstream's limit for as long as it is open.
    pub(super) permit: Permit,
}

/// The upstream's half.
#[derive(Debug)]
pub(super) enum Answer {
    Awaited(ResponseFuture),
    /// What comes of it is not read: the window of the stream holds it back.
    Body(RecvStream),
    Ended,
}

impl Rest {
    /// Resolves when the stream is closed, by itself or by a cancel when the caller's turn has come.
    pub(super) async fn close(mut self, caller: Party) {
        let session = self.permit.session.clone();
        let answered = AtomicBool::new(!matches!(self.answer, Answer::Awaited(_)));
        let turn = session.cancels.turn(caller, || answered.load(Ordering::Relaxed));
        tokio::select! {
            biased;
            () = poll_fn(|cx| self.poll_end(cx, &answered)) => {}
            () = turn => self.send.send_reset(Reason::CANCEL),
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>, answered: &AtomicBool) -> Poll<()> {
        if self.send.poll_reset(cx).is_ready() {
            return Poll::Ready(());
        }
        if let Answer::Awaited(response) = &mut self.answer {
            let Ok(response) = ready!(Pin::new(response).poll(cx)) else {
                return Poll::Ready(());
            };
            self.permit.answered();
            answered.store(true, Ordering::Relaxed);
            self.answer = Answer::Body(response.into_body());
        }
        while let Answer::Body(body) = &mut self.answer {
            match ready!(body.poll_data(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) => return Poll::Ready(()),
                None => self.answer = Answer::Ended,
            }
        }
        if self.request_ended { Poll::Ready(()) } else { Poll::Pending }
    }
}

//! Watches the first bytes of a session for the SETTINGS frame with which every HTTP/2 server begins
//! (RFC 9113 3.4), so that a session is shown to callers only once its upstream has spoken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;
use tunnel::tap::{Tap, Tapped};

/// Length, type, flags, stream id (RFC 9113 4.1).
const FRAME_HEAD: usize = 9;
const TYPE_SETTINGS: u8 = 4;

/// The upstream's first bytes are no SETTINGS frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotHttp2;

/// Passes bytes through, and the verdict on the first of them out.
#[derive(Debug)]
pub(crate) struct SettingsGate(State);

#[derive(Debug)]
enum State {
    Judging {
        head: Vec<u8>,
        verdict: Option<oneshot::Sender<Result<(), NotHttp2>>>,
    },
    Open,
    /// No HTTP/2: what comes is read and dropped, so that the stream below can still be closed in order.
    Shut,
}

impl SettingsGate {
    /// Puts a gate on `io`. The receiver gets the verdict; it fails if the stream ends before there is one.
    pub(crate) fn on<S>(io: S) -> (Tapped<S, Self>, oneshot::Receiver<Result<(), NotHttp2>>) {
        let (sender, receiver) = oneshot::channel();
        let state = State::Judging { head: Vec::with_capacity(FRAME_HEAD), verdict: Some(sender) };
        (Tapped::new(io, Self(state)), receiver)
    }
}

impl State {
    fn judge(&mut self, bytes: &[u8]) {
        let Self::Judging { head, verdict } = self else {
            return;
        };
        head.extend(bytes.iter().take(FRAME_HEAD - head.len()));
        let not_settings = head.get(3).is_some_and(|&kind| kind != TYPE_SETTINGS);
        if !not_settings && head.len() < FRAME_HEAD {
            return;
        }
        if let Some(verdict) = verdict.take() {
            // Whoever waited may have given up.
            let _ = verdict.send(if not_settings { Err(NotHttp2) } else { Ok(()) });
        }
        *self = if not_settings { Self::Shut } else { Self::Open };
    }
}

impl Tap for SettingsGate {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self(state) = self;
        loop {
            let before = buf.filled().len();
            ready!(Pin::new(&mut *io).poll_read(cx, buf))?;
            let ended = buf.filled().len() == before;
            state.judge(&buf.filled()[before..]);
            if !matches!(state, State::Shut) || ended {
                return Poll::Ready(Ok(()));
            }
            buf.set_filled(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// What the gate says of `bytes`, byte by byte and at once, and what comes through.
    async fn judge(bytes: &[u8]) -> (Option<Result<(), NotHttp2>>, Vec<u8>) {
        let mut verdicts = Vec::new();
        for size in [1, 64] {
            let (mut gate, mut verdict) = SettingsGate::on(bytes);
            let mut through = Vec::new();
            let mut chunk = vec![0; size];
            while let n @ 1.. = gate.read(&mut chunk).await.expect("read") {
                through.extend(&chunk[..n]);
            }
            verdicts.push((verdict.try_recv().ok(), through));
        }
        // Byte by byte, up to three bytes have passed before the fourth tells.
        assert_eq!(verdicts[0].0, verdicts[1].0);
        verdicts.pop().expect("two verdicts")
    }

    #[tokio::test]
    async fn settings_first_is_http2() {
        let settings = b"\0\0\0\x04\0\0\0\0\0more";
        assert_eq!(judge(settings).await, (Some(Ok(())), settings.to_vec()));
    }

    #[tokio::test]
    async fn anything_else_is_not_and_does_not_pass() {
        let http1 = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        assert_eq!(judge(http1).await, (Some(Err(NotHttp2)), Vec::new()));
    }

    #[tokio::test]
    async fn too_little_is_no_verdict() {
        assert_eq!(judge(b"\0\0\0\x04\0").await.0, None);
    }
}

//! Watches the first bytes of a session for the SETTINGS frame with which every HTTP/2 server begins
//! (RFC 9113 3.4), so that a session is shown to callers only once its upstream has spoken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;
use tunnel::limits::FIRST_SETTINGS_BYTES;
use tunnel::tap::{Tap, Tapped};

use crate::frames::{HEAD_BYTES, SETTING_BYTES, SETTINGS};

const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// What an upstream says of itself first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The largest header list that it takes, by RFC 9113 6.5.2; it may not say.
    pub(crate) max_header_list: Option<u32>,
    /// It says how large frames and header lists may be, as hyper, and so tonic, always does, and hardly anybody
    /// else: such a server counts small frames that it has not read, see `unread_frames`.
    pub(crate) is_like_hyper: bool,
}

/// The upstream's first bytes are no SETTINGS frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotHttp2;

type Verdict = Result<Settings, NotHttp2>;

/// Passes bytes through, and the verdict on the first of them out.
#[derive(Debug)]
pub(crate) struct SettingsGate(State);

#[derive(Debug)]
enum State {
    Judging {
        frame: Vec<u8>,
        verdict: Option<oneshot::Sender<Verdict>>,
    },
    Open,
    /// No HTTP/2: what comes is read and dropped, so that the stream below can still be closed in order.
    Shut,
}

impl SettingsGate {
    /// Puts a gate on `io`. The receiver gets the verdict; it fails if the stream ends before there is one.
    pub(crate) fn on<S>(io: S) -> (Tapped<S, Self>, oneshot::Receiver<Verdict>) {
        let (sender, receiver) = oneshot::channel();
        let state = State::Judging { frame: Vec::with_capacity(HEAD_BYTES), verdict: Some(sender) };
        (Tapped::new(io, Self(state)), receiver)
    }
}

impl State {
    fn judge(&mut self, bytes: &[u8]) {
        let Self::Judging { frame, verdict } = self else {
            return;
        };
        frame.extend(bytes.iter().take(HEAD_BYTES + FIRST_SETTINGS_BYTES - frame.len()));
        let Some(judged) = judgement(frame) else {
            return;
        };
        let next = if judged.is_ok() { Self::Open } else { Self::Shut };
        if let Some(verdict) = verdict.take() {
            // Whoever waited may have given up.
            let _ = verdict.send(judged);
        }
        *self = next;
    }
}

/// What the first frame says, as soon as enough of it is there.
fn judgement(frame: &[u8]) -> Option<Verdict> {
    if frame.get(3).is_some_and(|&kind| kind != SETTINGS) {
        return Some(Err(NotHttp2));
    }
    let (head, payload) = frame.split_at_checked(HEAD_BYTES)?;
    let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    // What goes beyond is `h2`'s to judge.
    let payload = payload.get(..len.min(FIRST_SETTINGS_BYTES))?;
    let settings = payload.chunks_exact(SETTING_BYTES).map(|setting| {
        let id = u16::from_be_bytes([setting[0], setting[1]]);
        (id, u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]))
    });
    // The last one counts (RFC 9113 6.5).
    let said =
        |sought| settings.clone().rev().find(|(id, _)| *id == sought).map(|(_, value)| value);
    Some(Ok(Settings {
        max_header_list: said(MAX_HEADER_LIST_SIZE),
        is_like_hyper: said(MAX_FRAME_SIZE).is_some() && said(MAX_HEADER_LIST_SIZE).is_some(),
    }))
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
    async fn judge(bytes: &[u8]) -> (Option<Verdict>, Vec<u8>) {
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
        assert_eq!(judge(settings).await, (Some(Ok(Settings::default())), settings.to_vec()));
    }

    #[tokio::test]
    async fn what_it_says_of_header_lists() {
        let settings = b"\0\0\x0c\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x06\0\0\x20\0";
        let said = Settings { max_header_list: Some(8192), is_like_hyper: false };
        assert_eq!(judge(settings).await, (Some(Ok(said)), settings.to_vec()));
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

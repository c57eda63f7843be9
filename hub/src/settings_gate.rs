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

const MAX_CONCURRENT_STREAMS: u16 = 3;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
/// The last one that `h2` knows.
const ENABLE_CONNECT_PROTOCOL: u16 = 8;
/// What hyper, and so tonic, says of frames and of header lists if nobody tells it otherwise, and grpc-go of frames.
const SAID_BY_DEFAULT: u32 = 16 << 10;

/// What an upstream says of itself first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The largest header list that it takes, by RFC 9113 6.5.2; it may not say.
    pub(crate) max_header_list: Option<u32>,
    /// It may be hyper, and so tonic, which counts small frames that it has not read, see `unread_frames`.
    pub(crate) may_count_frames: bool,
    /// It is known to bear any number of cancelled calls which it has seen, see `cancels`.
    pub(crate) bears_cancels: bool,
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
    let settings: Vec<_> = settings.collect();
    Some(Ok(Settings {
        max_header_list: said(&settings, MAX_HEADER_LIST_SIZE),
        may_count_frames: may_be_hyper(&settings),
        bears_cancels: is_hyper_as_it_comes(&settings) || is_grpc_go(&settings),
    }))
}

fn said(settings: &[(u16, u32)], sought: u16) -> Option<u32> {
    // The last one counts (RFC 9113 6.5).
    settings.iter().rev().find(|(id, _)| *id == sought).map(|(_, value)| *value)
}

/// `h2` tells its settings in the order of their numbers, and hyper has it always tell how large frames and header
/// lists may be. Go's net/http tells both in another order, C-core with a setting of its own.
fn may_be_hyper(settings: &[(u16, u32)]) -> bool {
    let in_order = settings.is_sorted_by(|(one, _), (next, _)| one < next);
    let known = settings.iter().all(|(id, _)| *id <= ENABLE_CONNECT_PROTOCOL);
    let both = [MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE];
    in_order && known && both.iter().all(|id| said(settings, *id).is_some())
}

/// Netty, which has a guard against cancels, may be set up to tell the same, but of header lists it says 8 KiB.
fn is_hyper_as_it_comes(settings: &[(u16, u32)]) -> bool {
    let told =
        settings.iter().all(|(id, _)| (MAX_CONCURRENT_STREAMS..=MAX_HEADER_LIST_SIZE).contains(id));
    let by_default = |id| said(settings, id) == Some(SAID_BY_DEFAULT);
    may_be_hyper(settings) && told && by_default(MAX_FRAME_SIZE) && by_default(MAX_HEADER_LIST_SIZE)
}

/// It begins with how large frames may be (`NewServerTransport` in grpc-go), and counts no resets. Where it limits
/// streams, it reads nothing while as many cancelled handlers still run (`newHandlerQuota`).
fn is_grpc_go(settings: &[(u16, u32)]) -> bool {
    let unlimited = said(settings, MAX_CONCURRENT_STREAMS).is_none();
    unlimited && settings.first() == Some(&(MAX_FRAME_SIZE, SAID_BY_DEFAULT))
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
        let said = Settings { max_header_list: Some(8192), ..Settings::default() };
        assert_eq!(judge(settings).await, (Some(Ok(said)), settings.to_vec()));
    }

    /// As servers say them, whether they come as they are or were set up by hand.
    #[test]
    fn servers_are_told_apart() {
        const KIB: u32 = 1 << 10;
        const MIB: u32 = 1 << 20;
        let tonic = [(4, MIB), (5, 16 * KIB), (6, 16 * KIB)];
        let hyper = [(3, 200), (4, MIB), (5, 16 * KIB), (6, 16 * KIB)];
        let hyper_by_hand = [(3, 200), (4, 2 * MIB), (5, 64 * KIB), (6, 32 * KIB), (8, 1)];
        let grpc_go = [(5, 16 * KIB)];
        let grpc_go_by_hand = [(5, 16 * KIB), (4, MIB), (6, 8 * KIB)];
        let grpc_go_limited = [(5, 16 * KIB), (3, 100)];
        let net_http = [(5, MIB), (3, 250), (6, MIB + 320), (1, 4 * KIB), (4, MIB)];
        let c_core = [(4, 4 * MIB), (5, 4 * MIB), (6, 16 * KIB), (0xfe03, 1)];
        let grpc_java = [(3, 0x7fff_ffff), (4, MIB), (6, 8 * KIB)];
        let netty_by_hand = [(3, 0x7fff_ffff), (4, MIB), (5, 16 * KIB), (6, 8 * KIB)];
        for (settings, may_count_frames, bears_cancels) in [
            (&tonic[..], true, true),
            (&hyper, true, true),
            (&hyper_by_hand, true, false),
            (&grpc_go, false, true),
            (&grpc_go_by_hand, false, true),
            (&grpc_go_limited, false, false),
            (&net_http, false, false),
            (&c_core, false, false),
            (&grpc_java, false, false),
            (&netty_by_hand, true, false),
            // Node.js.
            (&[], false, false),
        ] {
            let setting =
                |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
            let payload: Vec<u8> = settings.iter().flat_map(setting).collect();
            let frame =
                [&[0, 0, payload.len() as u8, SETTINGS, 0, 0, 0, 0, 0][..], &payload].concat();
            let said = judgement(&frame).expect("all of it").expect("HTTP/2");
            assert_eq!(said.may_count_frames, may_count_frames, "{settings:?}");
            assert_eq!(said.bears_cancels, bears_cancels, "{settings:?}");
        }
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

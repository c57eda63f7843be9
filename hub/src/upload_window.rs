//! Shares out the window that an upstream gives a whole connection, so that nobody fills it alone.
//!
//! Many servers (hyper, and so tonic, with 1 MiB) hold back a connection when what its streams have sent
//! and the application has not read is too much in all. On a session that would be everybody's: sixteen
//! uploads that stall would end all others. So the less is left, the less a caller may have of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tunnel::limits::UPLOAD_STEP;

use crate::origin::Party;
use crate::share::fair_upload;

/// The window of a connection before anybody has said more (RFC 9113 6.9.2).
const INITIAL_WINDOW: i64 = 65_535;

/// Towards one upstream.
#[derive(Debug)]
pub(crate) struct UploadWindow(Mutex<State>);

#[derive(Debug)]
struct State {
    /// What the connection takes now.
    left: i64,
    /// Sent on the connection, and not given back to it.
    out: u64,
    /// Handed to the connection, and not sent yet.
    queued: usize,
    streams: HashMap<u32, Upload>,
    parties: HashMap<Party, u64>,
    /// The sum of all.
    unread: u64,
    blocked: Vec<Waker>,
}

#[derive(Debug)]
struct Upload {
    party: Party,
    /// Handed to the connection, and not given back to the stream.
    unread: u64,
    /// Of that, what was not sent yet: if the stream is reset, it never is.
    queued: usize,
}

/// One stream's access to it; dropping it gives back what the stream had.
#[derive(Debug)]
pub(crate) struct UploadGate {
    window: Arc<UploadWindow>,
    stream: u32,
    party: Party,
}

/// What a caller may send.
struct Room {
    bytes: usize,
    /// The caller has nothing on its way.
    first: bool,
}

impl UploadWindow {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            left: INITIAL_WINDOW,
            out: 0,
            queued: 0,
            streams: HashMap::new(),
            parties: HashMap::new(),
            unread: 0,
            blocked: Vec::new(),
        })))
    }

    /// The upstream gives back so much: of a stream, or of the connection where `stream` is 0.
    pub(crate) fn given_back(&self, stream: u32, increment: u32) {
        let mut state = self.0.lock();
        let bytes = u64::from(increment);
        if stream == 0 {
            state.left += i64::from(increment);
            state.out = state.out.saturating_sub(bytes);
        } else {
            state.read(stream, bytes);
        }
        state.wake();
    }

    /// So much DATA went out on a stream.
    pub(crate) fn taken(&self, stream: u32, bytes: usize) {
        let mut state = self.0.lock();
        state.left -= bytes as i64;
        state.out += bytes as u64;
        if let Some(upload) = state.streams.get_mut(&stream) {
            let sent = bytes.min(upload.queued);
            upload.queued -= sent;
            state.queued -= sent;
        }
    }

    /// For a stream of this caller.
    pub(crate) fn gate(self: &Arc<Self>, stream: u32, party: Party) -> UploadGate {
        UploadGate { window: self.clone(), stream, party }
    }
}

impl State {
    /// How many bytes a caller may send now.
    ///
    /// What counts is what the caller's unread bytes take of the connection's window. Some servers (grpc-go)
    /// give that back before the application has read: there, nobody's do.
    fn room_for(&self, party: Party) -> Room {
        let unread = self.parties.get(&party).copied().unwrap_or(0);
        let out = self.out + self.queued as u64;
        let of_window = (out.min(self.unread) as f64) / (self.unread.max(1) as f64);
        let used = (unread as f64 * of_window) as usize;
        let left = usize::try_from(self.left).unwrap_or(0);
        let whole = left + self.out as usize;
        let left = left.saturating_sub(self.queued);
        let alone = self.parties.len() == usize::from(unread > 0);
        let most = fair_upload(left, whole, alone).saturating_sub(used);
        // A step at a time, for with what is left the share gets smaller.
        let step = if alone { left } else { left / 8 };
        Room { bytes: most.min(step), first: used == 0 }
    }

    fn add(&mut self, stream: u32, party: Party, bytes: u64) {
        let new = Upload { party, unread: 0, queued: 0 };
        let upload = self.streams.entry(stream).or_insert(new);
        upload.unread += bytes;
        upload.queued += bytes as usize;
        *self.parties.entry(party).or_default() += bytes;
        self.unread += bytes;
        self.queued += bytes as usize;
    }

    /// The upstream has read so much of a stream.
    fn read(&mut self, stream: u32, bytes: u64) {
        let Some(upload) = self.streams.get_mut(&stream) else {
            return;
        };
        let (party, bytes) = (upload.party, bytes.min(upload.unread));
        upload.unread -= bytes;
        self.forget(party, bytes);
    }

    fn forget(&mut self, party: Party, bytes: u64) {
        self.unread -= bytes;
        if let Some(unread) = self.parties.get_mut(&party) {
            *unread -= bytes;
            if *unread == 0 {
                self.parties.remove(&party);
            }
        }
    }

    fn wake(&mut self) {
        for waker in self.blocked.drain(..) {
            waker.wake();
        }
    }
}

impl UploadGate {
    /// Ready when the caller may send more of the `wanted` bytes, with how many. Not for a few of many.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>, wanted: usize) -> Poll<usize> {
        let mut state = self.window.0.lock();
        let room = state.room_for(self.party);
        if room.bytes >= if room.first { 1 } else { wanted.clamp(1, UPLOAD_STEP) } {
            return Poll::Ready(room.bytes);
        }
        if !state.blocked.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.blocked.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// So much is on its way.
    pub(crate) fn sent(&self, bytes: usize) {
        self.window.0.lock().add(self.stream, self.party, bytes as u64);
    }
}

impl Drop for UploadGate {
    fn drop(&mut self) {
        let mut state = self.window.0.lock();
        if let Some(upload) = state.streams.remove(&self.stream) {
            state.forget(upload.party, upload.unread);
            state.queued -= upload.queued;
            state.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::{IpAddr, Ipv4Addr};

    use futures_util::poll;

    use super::*;

    const HOG: Party = Party { connection: 1, address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
    const OTHER: Party = Party { connection: 2, address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
    const MIB: u32 = 1 << 20;
    const CHUNK: usize = 16 << 10;

    /// A connection whose window is 1 MiB.
    fn mebibyte() -> Arc<UploadWindow> {
        let window = UploadWindow::new();
        window.given_back(0, MIB - INITIAL_WINDOW as u32);
        window
    }

    /// Sends as much as is allowed; returns how much that was.
    async fn fill(gate: &UploadGate) -> usize {
        let mut sent = 0;
        while let Poll::Ready(room) = poll!(poll_fn(|cx| gate.poll_room(cx, CHUNK))) {
            let bytes = room.min(CHUNK);
            gate.sent(bytes);
            gate.window.taken(gate.stream, bytes);
            sent += bytes;
        }
        sent
    }

    #[tokio::test]
    async fn nobody_fills_the_window_alone() {
        let window = mebibyte();
        let (hog, other) = (window.gate(1, HOG), window.gate(3, OTHER));
        let sent = fill(&hog).await;
        let seven_eighths = MIB as usize / 8 * 7;
        assert!((seven_eighths - UPLOAD_STEP..=seven_eighths).contains(&sent), "{sent}");
        // The other's bytes are read, and the hog's still are not.
        other.sent(1000);
        window.taken(3, 1000);
        window.given_back(0, 1000);
        window.given_back(3, 1000);
        assert!(poll!(poll_fn(|cx| other.poll_room(cx, CHUNK))).is_ready());
        assert!(poll!(poll_fn(|cx| hog.poll_room(cx, CHUNK))).is_pending());
        window.given_back(0, MIB / 2);
        window.given_back(1, MIB / 2);
        assert!(poll!(poll_fn(|cx| hog.poll_room(cx, CHUNK))).is_ready());
    }

    #[tokio::test]
    async fn nor_do_a_hundred_together() {
        let window = mebibyte();
        let gates: Vec<_> =
            (0..100).map(|i| window.gate(i + 1, Party { connection: i.into(), ..HOG })).collect();
        for gate in &gates {
            assert!(fill(gate).await > 0);
        }
        let last = window.gate(1001, Party { connection: 1001, ..HOG });
        assert!(fill(&last).await >= 80, "a small message still passes");
    }

    #[tokio::test]
    async fn a_server_that_gives_the_connections_window_back_at_once_holds_nobody_up() {
        let window = mebibyte();
        let hog = window.gate(1, HOG);
        for _ in 0..1000 {
            assert!(poll!(poll_fn(|cx| hog.poll_room(cx, CHUNK))).is_ready());
            hog.sent(CHUNK);
            window.taken(1, CHUNK);
            window.given_back(0, CHUNK as u32);
        }
    }

    #[tokio::test]
    async fn a_stream_that_ends_gives_back_what_it_had() {
        let window = mebibyte();
        let (first, second) = (window.gate(1, HOG), window.gate(3, HOG));
        fill(&first).await;
        assert!(poll!(poll_fn(|cx| second.poll_room(cx, CHUNK))).is_pending());
        drop(first);
        assert!(poll!(poll_fn(|cx| second.poll_room(cx, CHUNK))).is_ready());
        assert!(window.0.lock().parties.is_empty());
    }

    #[tokio::test]
    async fn what_a_reset_stream_never_sent_takes_no_room() {
        let window = mebibyte();
        for stream in 0..100 {
            let gate = window.gate(stream, HOG);
            gate.sent(CHUNK);
            window.taken(stream, CHUNK / 2);
            drop(gate);
            window.given_back(0, CHUNK as u32 / 2);
        }
        let state = window.0.lock();
        assert_eq!((state.queued, state.unread, state.left), (0, 0, i64::from(MIB)));
        assert_eq!((state.streams.len(), state.parties.len()), (0, 0));
    }
}

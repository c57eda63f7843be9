//! Shares out the window that an upstream gives a whole connection, so that nobody fills it alone.
//!
//! Many servers (hyper, and so tonic, with 1 MiB) hold back a connection when what its streams have sent
//! and the application has not read is too much in all. On a session that would be everybody's: sixteen
//! uploads that stall would end all others. So the less is left, the less a caller may have of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use tunnel::limits::{UPLOAD_FIRST, UPLOAD_SPARE, UPLOAD_STEP};

use crate::origin::Party;
use crate::share::fair_upload;
use crate::unread_frames::{Hold, INITIAL_WINDOW, UnreadFrames};

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
    /// What of it the upstream may count by the frame.
    frames: UnreadFrames,
    blocked: Vec<Waker>,
    /// Some of them wait for what was sent to be read or answered, not for room.
    held: bool,
}

#[derive(Debug)]
struct Upload {
    party: Party,
    /// Handed to the connection, and not given back to the stream.
    unread: u64,
    /// Of that, what was not sent yet: if the stream is reset, it never is.
    queued: usize,
    /// What its small frames cost that are not known to be read.
    frames: usize,
}

/// One stream's access to it; dropping it gives back what the stream had.
#[derive(Debug)]
pub(crate) struct UploadGate {
    window: Arc<UploadWindow>,
    stream: u32,
    party: Party,
    /// Small frames were sent since the upstream last answered.
    unanswered: bool,
    hold: Hold,
}

/// What waits to be sent on a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) bytes: usize,
    /// Nothing follows them.
    pub(crate) last: bool,
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
            left: INITIAL_WINDOW as i64,
            out: 0,
            queued: 0,
            streams: HashMap::new(),
            parties: HashMap::new(),
            unread: 0,
            frames: UnreadFrames::default(),
            blocked: Vec::new(),
            held: false,
        })))
    }

    /// The upstream counts small frames that are not read.
    pub(crate) fn counts_frames(&self) {
        self.0.lock().frames.counted = true;
    }

    /// Whether small frames that nobody may have read are so many that new calls had better go elsewhere.
    pub(crate) fn is_worn(&self) -> bool {
        let state = self.0.lock();
        state.frames.is_worn(state.whole())
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

    /// So much DATA went out on a stream, perhaps as the last of it.
    pub(crate) fn taken(&self, stream: u32, bytes: usize, last: bool) {
        let mut state = self.0.lock();
        state.frames.passed(bytes, last);
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
        UploadGate { window: self.clone(), stream, party, unanswered: false, hold: Hold::default() }
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
        let whole = self.whole();
        let left = usize::try_from(self.left).unwrap_or(0).saturating_sub(self.queued);
        let alone = self.parties.len() == usize::from(unread > 0);
        let shared = left.saturating_sub(whole / UPLOAD_SPARE);
        let most = fair_upload(shared, whole, alone).saturating_sub(used);
        // A step at a time, for with what is left the share gets smaller.
        let step = if alone { left } else { left / 8 };
        let first = used == 0;
        let least = if first { left.min(UPLOAD_FIRST) } else { 0 };
        Room { bytes: most.min(step).max(least), first }
    }

    /// The connection's window, with what is out of it.
    fn whole(&self) -> usize {
        usize::try_from(self.left).unwrap_or(0) + self.out as usize
    }

    fn add(&mut self, stream: u32, party: Party, bytes: u64, cost: usize) {
        let new = Upload { party, unread: 0, queued: 0, frames: 0 };
        let upload = self.streams.entry(stream).or_insert(new);
        upload.frames += cost;
        self.frames.sent(party, cost);
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
        let read = upload.frames.saturating_sub(UnreadFrames::most(upload.unread));
        upload.frames -= read;
        self.frames.read(party, read);
        self.forget(party, bytes);
    }

    /// The upstream answers on a stream: it is taken to have read what came before.
    fn answered(&mut self, stream: u32) {
        if let Some(upload) = self.streams.get_mut(&stream) {
            let (party, cost) = (upload.party, std::mem::take(&mut upload.frames));
            self.frames.read(party, cost);
            // Nobody gets room by it.
            if self.held {
                self.wake();
            }
        }
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
        self.held = false;
        for waker in self.blocked.drain(..) {
            waker.wake();
        }
    }
}

impl UploadGate {
    /// Ready when the caller may send of what is wanted, with how many bytes. Not for a few of many.
    pub(crate) fn poll_room(&mut self, cx: &mut Context<'_>, wanted: Wanted) -> Poll<usize> {
        let Self { window, party, hold, .. } = self;
        let mut state = window.0.lock();
        let room = state.room_for(*party);
        let enough = if room.first { 1 } else { wanted.bytes.clamp(1, UPLOAD_STEP) };
        if room.bytes >= enough {
            let last = wanted.last && wanted.bytes <= room.bytes;
            let cost = state.frames.cost(wanted.bytes.min(room.bytes), last);
            let whole = state.whole();
            if hold.poll_over(cx, || state.frames.ask(*party, cost, whole)).is_ready() {
                return Poll::Ready(room.bytes);
            }
            state.held = true;
        }
        if !state.blocked.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.blocked.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// So much is on its way.
    pub(crate) fn sent(&mut self, sent: Wanted) {
        let mut state = self.window.0.lock();
        let cost = state.frames.cost(sent.bytes, sent.last);
        self.unanswered |= cost > 0;
        state.add(self.stream, self.party, sent.bytes as u64, cost);
    }

    /// Whether small frames have begun to wait since this was last asked.
    pub(crate) fn was_held_back(&mut self) -> bool {
        self.hold.has_begun()
    }

    /// The upstream has answered something.
    pub(crate) fn answered(&mut self) {
        if std::mem::take(&mut self.unanswered) {
            self.window.0.lock().answered(self.stream);
        }
    }
}

impl Drop for UploadGate {
    fn drop(&mut self) {
        let mut state = self.window.0.lock();
        if let Some(upload) = state.streams.remove(&self.stream) {
            state.frames.read(upload.party, upload.frames);
            state.forget(upload.party, upload.unread);
            state.queued -= upload.queued;
            state.wake();
        }
    }
}

#[cfg(test)]
mod tests;

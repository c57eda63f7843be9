//! One end of HTTP/2 in tests, a client or an upstream: keeps to the windows it was given, and panics where the switch
//! breaks the protocol or goes beyond those that it gave.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::sync::LazyLock;

use bytes::Bytes;
use http2::block::Block;
use http2::error::Reason;
use http2::fields::{Fields, Indexing};
use http2::frame::{self, Head, MAX_FRAME, PREFACE, flag, kind};
use http2::hpack::{Decoder, Encoder};
use http2::input::Input;
use http2::output::Output;
use http2::settings::Settings;

use crate::window::WINDOW_FIRST;

/// When an end gives the connection's window back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returns {
    OnReceipt,
    OnRead,
    Never,
}

/// What came, beside what is known of the stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Got {
    Head(u32),
    Data(u32, usize),
    /// Nothing comes after it on its stream.
    End(u32),
    Reset(u32, Reason),
    Settings(Settings),
    Ack,
    Ping([u8; 8], bool),
    Window(u32, u32),
    Goaway(u32, Reason),
}

#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// What may be sent, and come, now.
    pub(crate) send: i64,
    pub(crate) recv: i64,
    /// What could be sent in all by what is known, and what the other was ever allowed to send.
    pub(crate) granted: i64,
    pub(crate) gave: i64,
    pub(crate) gave_most: i64,
    /// What could come at the beginning.
    pub(crate) first: i64,
    pub(crate) sent: u64,
    pub(crate) padding: i64,
    pub(crate) came: u64,
    /// Came, and its window is not given back.
    pub(crate) unread: u32,
    pub(crate) heads: Vec<Fields>,
    pub(crate) trailers: Option<Fields>,
    pub(crate) ended: bool,
    pub(crate) reset: Option<Reason>,
    pub(crate) has_answered: bool,
    pub(crate) has_ended: bool,
    pub(crate) has_reset: bool,
}

impl Stream {
    pub(crate) fn is_over(&self) -> bool {
        self.has_reset || self.reset.is_some() || (self.ended && self.has_ended)
    }
}

#[derive(Debug)]
pub(crate) struct End {
    pub(crate) is_client: bool,
    pub(crate) output: Output,
    pub(super) input: Input,
    pub(super) block: Block,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(crate) send: i64,
    pub(super) send_first: i64,
    pub(crate) recv: i64,
    pub(crate) recv_first: i64,
    /// By how much streams' windows become smaller with each SETTINGS that is not acknowledged.
    pub(super) shrinks: VecDeque<i64>,
    /// Of the connection, what came and was not given back.
    pub(crate) unread: u32,
    pub(crate) returns: Returns,
    pub(crate) acknowledges: bool,
    pub(crate) streams: BTreeMap<u32, Stream>,
    /// It has said that it looks at no later stream.
    pub(crate) last_seen: u32,
    /// The last header block that came, as it was sent.
    pub(crate) block_seen: Bytes,
    pub(crate) got: Vec<Got>,
    pub(super) last: u32,
}

impl End {
    pub(crate) fn client(settings: &Settings) -> Self {
        let mut end = Self::new(true);
        end.output.extend(PREFACE);
        end.settings(settings);
        end
    }

    /// An upstream that has not said anything yet.
    pub(crate) fn upstream() -> Self {
        Self::new(false)
    }

    fn new(is_client: bool) -> Self {
        Self {
            is_client,
            output: Output::new(),
            input: Input::new(),
            block: Block::new(1 << 20),
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            send: WINDOW_FIRST,
            send_first: WINDOW_FIRST,
            recv: WINDOW_FIRST,
            recv_first: WINDOW_FIRST,
            shrinks: VecDeque::new(),
            unread: 0,
            returns: Returns::OnReceipt,
            acknowledges: true,
            streams: BTreeMap::new(),
            last_seen: u32::MAX,
            block_seen: Bytes::new(),
            got: Vec::new(),
            last: if is_client { 0 } else { u32::MAX },
        }
    }

    pub(crate) fn stream(&mut self, id: u32) -> &mut Stream {
        self.streams.get_mut(&id).expect("a stream")
    }

    // --- what it says ---

    pub(crate) fn settings(&mut self, settings: &Settings) {
        settings.write(&mut self.output);
        let window = settings.initial_window_size.map_or_else(|| self.recv_now(), i64::from);
        let delta = window - self.recv_now();
        self.shrinks.push_back(delta.min(0));
        self.widen_all(delta.max(0));
    }

    /// What the first window of a stream is once all SETTINGS are acknowledged.
    fn recv_now(&self) -> i64 {
        self.recv_first + self.shrinks.iter().sum::<i64>()
    }

    pub(super) fn widen_all(&mut self, delta: i64) {
        self.recv_first += delta;
        for stream in self.streams.values_mut() {
            stream.recv += delta;
            stream.gave += delta;
            stream.gave_most = stream.gave_most.max(stream.gave);
        }
    }

    /// Begins a call.
    pub(crate) fn open(&mut self, fields: &Fields, end: bool) -> u32 {
        let id = if self.last == 0 { 1 } else { self.last + 2 };
        self.last = id;
        self.streams.insert(id, self.new_stream());
        self.fields(id, fields, end);
        id
    }

    pub(super) fn new_stream(&self) -> Stream {
        let (send, recv) = (self.send_first, self.recv_first);
        Stream {
            send,
            recv,
            granted: send,
            gave: recv,
            gave_most: recv,
            first: recv,
            ..Stream::default()
        }
    }

    pub(crate) fn fields(&mut self, id: u32, fields: &Fields, end: bool) {
        let mut block = Vec::new();
        self.encoder.begin(&mut block);
        fields.iter().for_each(|field| self.encoder.field(field, &mut block));
        frame::write_headers(&mut self.output, id, &block, end);
        let stream = self.stream(id);
        assert!(!stream.has_ended && !stream.has_reset, "this end is wrong");
        stream.has_answered |= fields.get(b":status").is_some_and(|status| status[0] != b'1');
        stream.has_ended = end;
    }

    /// Sends as much of `len` bytes as windows allow, and the end only behind all of it. Returns how much.
    pub(crate) fn data(&mut self, id: u32, len: usize, end: bool) -> usize {
        let tag = self.tag(id);
        let (send, direction) = (self.send, self.is_client);
        let stream = self.stream(id);
        assert!(!stream.has_ended && !stream.has_reset, "this end is wrong");
        let room = usize::try_from(send.min(stream.send)).unwrap_or_default();
        let sending = len.min(room);
        let end = end && sending == len;
        let content = content(tag, direction, stream.sent, sending);
        stream.sent += sending as u64;
        stream.send -= sending as i64;
        stream.has_ended = end;
        self.send -= sending as i64;
        if sending > 0 || end {
            frame::write_data(&mut self.output, id, content, end);
        }
        sending
    }

    /// Sends DATA with so much padding beside its length, if windows allow.
    pub(crate) fn padded(&mut self, id: u32, len: usize, padding: u8) {
        let (tag, flow) = (self.tag(id), (len + usize::from(padding) + 1) as i64);
        let (send, direction) = (self.send, self.is_client);
        let stream = self.stream(id);
        if send.min(stream.send) < flow || flow > MAX_FRAME as i64 {
            return;
        }
        let content = content(tag, direction, stream.sent, len);
        stream.sent += len as u64;
        stream.send -= flow;
        stream.padding += flow - len as i64;
        self.send -= flow;
        let payload = [&[padding][..], &content, &vec![0; usize::from(padding)]].concat();
        self.raw(kind::DATA, flag::PADDED, id, &payload);
    }

    pub(crate) fn reset(&mut self, id: u32, reason: Reason) {
        frame::write_reset(&mut self.output, id, reason);
        self.stream(id).has_reset = true;
    }

    /// Any frame. What it does to windows is not seen.
    pub(crate) fn raw(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.output.extend(&Head { len: payload.len(), kind, flags, stream }.bytes());
        self.output.extend(payload);
    }

    pub(crate) fn goaway(&mut self, last: u32, reason: Reason) {
        frame::write_goaway(&mut self.output, last, reason, b"bye");
        self.last_seen = self.last_seen.min(last);
    }

    pub(crate) fn ping(&mut self, payload: [u8; 8]) {
        frame::write_ping(&mut self.output, payload);
    }

    /// Makes a window larger, that of the connection if the stream is 0.
    pub(crate) fn grant(&mut self, id: u32, bytes: u32) {
        if bytes == 0 {
            return;
        }
        if id == 0 {
            self.recv += i64::from(bytes);
        } else {
            let stream = self.stream(id);
            stream.recv += i64::from(bytes);
            stream.gave += i64::from(bytes);
            stream.gave_most = stream.gave_most.max(stream.gave);
        }
        frame::write_window_update(&mut self.output, id, bytes);
    }

    /// The application reads what came on a stream: its window is given back.
    pub(crate) fn read(&mut self, id: u32) -> u32 {
        let stream = self.stream(id);
        let bytes = std::mem::take(&mut stream.unread);
        if !stream.ended && !stream.has_reset && stream.reset.is_none() {
            self.grant(id, bytes);
        }
        if self.returns == Returns::OnRead {
            self.unread = self.unread.saturating_sub(bytes);
            self.grant(0, bytes);
        }
        bytes
    }

    pub(crate) fn read_all(&mut self) -> u32 {
        let ids: Vec<u32> = self.streams.keys().copied().collect();
        ids.into_iter().map(|id| self.read(id)).sum()
    }

    /// Whose bytes a stream carries: the number of the call at its client.
    pub(crate) fn tag(&self, id: u32) -> u32 {
        if self.is_client {
            return id;
        }
        let call = self.streams[&id].heads.first().and_then(|head| head.get(b"call"));
        call.map_or(0, |call| String::from_utf8_lossy(call).parse().expect("a number"))
    }
}

/// Bytes after which what a call says repeats itself: no multiple of a frame's.
const PERIOD: u64 = 251;
static CONTENT: LazyLock<Bytes> = LazyLock::new(|| {
    (0..PERIOD + (33 << 20)).map(|at| (at % PERIOD) as u8).collect::<Vec<_>>().into()
});

/// What a call says in a direction, from an offset on.
pub(crate) fn content(call: u32, up: bool, from: u64, len: usize) -> Bytes {
    let from = ((from + u64::from(call) * 7 + u64::from(up)) % PERIOD) as usize;
    CONTENT.slice(from..from + len)
}

/// Fields that are put into tables.
pub(crate) fn fields(list: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in list {
        fields.push(name.as_bytes(), value.as_bytes(), Indexing::Incremental);
    }
    fields
}

/// Takes up to `bytes` of what is to be written.
pub(crate) fn taken(output: &Output, bytes: usize) -> Bytes {
    let mut slices = [IoSlice::new(&[]); 64];
    let filled = output.slices(&mut slices);
    let mut taken: Vec<u8> = Vec::new();
    for slice in &slices[..filled] {
        taken.extend_from_slice(&slice[..slice.len().min(bytes - taken.len())]);
    }
    taken.into()
}

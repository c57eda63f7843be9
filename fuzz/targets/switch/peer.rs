//! One peer of the switch, a client or an upstream: keeps account of what it has said, and checks what it hears.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use http2::block::{Block, WholeBlock};
use http2::fields::Fields;
use http2::frame::{self, Head, flag, kind};
use http2::hpack::{Decoded, Decoder, Encoder};
use http2::input::Input;
use http2::settings::Settings;

use crate::stream::Stream;

/// What a window is before anybody has spoken (RFC 9113 6.9.2).
const WINDOW_FIRST: i64 = 65_535;
/// What a client and an upstream may send before any of it is passed on.
const CLIENT_WINDOW: i64 = 1 << 20;
const LANE_WINDOW: i64 = 65_535;
/// The same of an upstream whose client takes what comes.
const LANE_WINDOW_MAX: i64 = 32 << 20;
/// More than any list here.
const ROOMY: usize = 1 << 20;

/// One end of a connection to the switch.
pub struct Peer {
    pub is_client: bool,
    pub encoder: Encoder,
    /// The client's next stream, or the last that an upstream has heard of.
    pub stream: u32,
    input: Input,
    has_preface: bool,
    has_settings: bool,
    block: Block,
    decoder: Decoder,
    streams: BTreeMap<u32, Stream>,
    /// What the switch may still send on the connection.
    window: i64,
    /// What it may send on every stream, as it has acknowledged.
    first: i64,
    /// The same of SETTINGS that it has not acknowledged.
    told: VecDeque<i64>,
    /// What this end may still send on the connection.
    granted: i64,
    /// It has said something that is no frame: nobody knows what the switch has made of it.
    is_garbled: bool,
    /// The switch listens to it no more.
    pub has_failed: bool,
}

impl Peer {
    /// One that has said nothing.
    pub fn new(is_client: bool) -> Self {
        Self {
            is_client,
            encoder: Encoder::new(),
            stream: 1,
            input: Input::new(),
            has_preface: is_client,
            has_settings: false,
            block: Block::new(ROOMY),
            decoder: Decoder::new(),
            streams: BTreeMap::new(),
            window: WINDOW_FIRST,
            first: WINDOW_FIRST,
            told: VecDeque::new(),
            granted: WINDOW_FIRST,
            is_garbled: false,
            has_failed: false,
        }
    }

    // --- what it says ---

    /// A frame, taken to account.
    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Bytes {
        let head = Head { len: payload.len(), kind, flags, stream };
        self.note(Head { stream: stream & (u32::MAX >> 1), ..head }, payload);
        [&head.bytes()[..], payload].concat().into()
    }

    /// Bytes that are no frame.
    pub fn garble(&mut self, bytes: &[u8]) -> Bytes {
        self.is_garbled = true;
        Bytes::copy_from_slice(bytes)
    }

    fn note(&mut self, head: Head, payload: &[u8]) {
        match head.kind {
            kind::WINDOW_UPDATE => {
                let more = i64::from(frame::increment(payload).unwrap_or_default());
                if head.stream == 0 {
                    self.window += more;
                } else {
                    self.streams.entry(head.stream).or_default().given += more;
                }
            }
            kind::SETTINGS if !head.has(flag::ACK) && head.stream == 0 => {
                if let Ok(settings) = Settings::parse(payload) {
                    let last = self.told.back().copied().unwrap_or(self.first);
                    self.told.push_back(settings.initial_window_size.map_or(last, i64::from));
                }
            }
            kind::DATA => self.granted -= head.len as i64,
            _ => {}
        }
    }

    // --- what it hears ---

    /// Bytes of the switch.
    pub fn hear(&mut self, bytes: Bytes) {
        self.input.push(bytes);
        self.has_preface = self.has_preface || self.input.preface().expect("a preface");
        while self.has_preface
            && let Some(head) = self.input.next_frame().expect("frames")
        {
            self.block.check(head).expect("a block that nothing interrupts");
            head.check().expect("a frame that is as it should be");
            let payload = self.input.payload(head.len);
            self.heard(head, payload);
        }
    }

    fn heard(&mut self, head: Head, payload: Bytes) {
        assert!(self.has_settings || head.kind == kind::SETTINGS, "SETTINGS come first");
        let end = head.has(flag::END_STREAM);
        match head.kind {
            kind::DATA => self.heard_data(head.stream, head.len, end),
            kind::HEADERS => {
                let block = self.block.begin(head, payload).expect("a block");
                block.into_iter().for_each(|block| self.heard_block(&block));
            }
            kind::CONTINUATION => {
                let block = self.block.go_on(head, payload).expect("a block");
                block.into_iter().for_each(|block| self.heard_block(&block));
            }
            kind::RST_STREAM => {
                let code = frame::reason(&payload).expect("a code");
                let stream = self.streams.entry(head.stream).or_default();
                stream.heard_reset(code, self.is_client);
            }
            kind::SETTINGS if head.has(flag::ACK) => {
                let told = self.told.pop_front();
                assert!(told.is_some() || self.is_garbled, "it acknowledges what nobody said");
                self.first = told.unwrap_or(self.first);
            }
            kind::SETTINGS => {
                Settings::parse(&payload).expect("SETTINGS");
                self.has_settings = true;
            }
            kind::WINDOW_UPDATE => self.heard_window(head.stream, &payload),
            kind::PING | kind::GOAWAY => {}
            other => panic!("it sends a frame of kind {other}"),
        }
    }

    fn heard_data(&mut self, id: u32, len: usize, end: bool) {
        let stream = self.streams.entry(id).or_default();
        stream.heard_data(len, end);
        self.window -= len as i64;
        let left = self.first + stream.given - stream.taken;
        if len > 0 && !self.is_garbled {
            assert!(left >= 0, "{} more than the window of stream {id}", -left);
            assert!(self.window >= 0, "{} more than the connection's window", -self.window);
        }
    }

    fn heard_block(&mut self, block: &WholeBlock) {
        let mut fields = Fields::new();
        let decoded = self.decoder.decode(&block.fragment, &mut fields, ROOMY);
        assert_eq!(decoded, Ok(Decoded::Whole));
        if !self.is_client && !self.streams.get(&block.stream).is_some_and(Stream::has_head) {
            assert!(block.stream % 2 == 1 && block.stream >= self.stream, "{}", block.stream);
            self.stream = block.stream;
        }
        let stream = self.streams.entry(block.stream).or_default();
        stream.heard_block(&fields, block.end_stream, self.is_client);
    }

    fn heard_window(&mut self, id: u32, payload: &[u8]) {
        let more = i64::from(frame::increment(payload).expect("an increment"));
        assert!(more > 0, "a window of nothing");
        if id > 0 {
            return self.streams.entry(id).or_default().heard_window();
        }
        self.granted += more;
        let most = if self.is_client { CLIENT_WINDOW } else { LANE_WINDOW_MAX };
        assert!(self.granted <= most, "a window of {}", self.granted);
    }

    /// No call is left: what came is held by nobody, and the window is given back, lazily.
    pub fn check_nothing_held(&self) {
        let is_understood = self.has_settings && !self.has_failed && !self.is_garbled;
        let window = if self.is_client { CLIENT_WINDOW } else { LANE_WINDOW };
        let is_back = 2 * self.granted > window;
        assert!(!is_understood || is_back, "{} of {window}", self.granted);
    }
}

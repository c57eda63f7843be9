//! One end of the switch: an HTTP/2 connection as far as a client's and a lane's are alike.

use std::collections::VecDeque;

use bytes::Bytes;
use http2::block::{Block, WholeBlock};
use http2::error::{ConnectionError, Reason};
use http2::fields::Fields;
use http2::frame::{self, Head, flag, kind};
use http2::hpack::{self, Decoder, Encoder};
use http2::input::Input;
use http2::output::Output;
use http2::settings::Settings;

use crate::event::CallId;
use crate::guard::Guard;
use crate::way::{Tail, Way};
use crate::window::{WINDOW_FIRST, WINDOW_MAX, worth_a_grant};

/// Bytes that stand ready to be written before DATA waits for its turn: two frames keep a connection busy, and what
/// comes behind them does not wait for long.
pub(crate) const OUTPUT_ENOUGH: usize = 2 * frame::MAX_FRAME;

/// An HTTP/2 connection.
#[derive(Debug)]
pub(crate) struct Link<G> {
    pub(crate) input: Input,
    pub(crate) output: Output,
    /// Bytes that have left the output.
    pub(crate) written: u64,
    pub(crate) block: Block,
    decoder: Decoder,
    encoder: Encoder,
    /// What the peer takes on the connection.
    pub(crate) send_window: i64,
    /// What the peer takes on a stream at first.
    pub(crate) stream_window: i64,
    /// What the peer may still send on the connection.
    pub(crate) recv_window: i64,
    /// What it may, when nothing of it is held.
    pub(crate) window: i64,
    /// Calls that have something to send on it.
    queue: VecDeque<CallId>,
    pub(crate) guard: G,
    /// It has said too much, or nonsense.
    pub(crate) is_deaf: bool,
}

impl<G: Guard> Link<G> {
    /// Whose peer may send `window` bytes before any of it is passed on, and header blocks of `block_max` bytes.
    pub(crate) fn new(window: i64, block_max: usize, guard: G) -> Self {
        Self {
            input: Input::new(),
            output: Output::new(),
            written: 0,
            block: Block::new(block_max),
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            send_window: WINDOW_FIRST,
            stream_window: WINDOW_FIRST,
            recv_window: WINDOW_FIRST,
            window,
            queue: VecDeque::new(),
            guard,
            is_deaf: false,
        }
    }

    /// Says what HTTP/2 begins with.
    pub(crate) fn greet(&mut self, settings: &Settings) {
        settings.write(&mut self.output);
        self.grant_connection(0);
    }

    // --- what comes ---

    /// The next frame that is whole, if the guard lets it pass. Its payload is at the front of the input.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Head>, ConnectionError> {
        if self.is_deaf || self.guard.is_tired() {
            return Ok(None);
        }
        let Some(head) = self.input.next_frame()? else {
            return Ok(None);
        };
        self.block.check(head)?;
        if self.guard.incoming(head) {
            return Ok(Some(head));
        }
        self.is_deaf = true;
        Err(ConnectionError::new(Reason::ENHANCE_YOUR_CALM, "too many frames"))
    }

    /// Decodes a header block, whose values lose the spaces around them. Returns the size of the list as it came; one larger
    /// than `max` is not kept whole.
    pub(crate) fn decode(
        &mut self,
        block: &WholeBlock,
        fields: &mut Fields,
        max: usize,
    ) -> Result<usize, ConnectionError> {
        fields.clear();
        match self.decoder.decode(&block.fragment, fields, max) {
            Ok(hpack::Decoded::Whole) => {
                let size = fields.size();
                fields.strip();
                Ok(size)
            }
            Ok(hpack::Decoded::TooLarge(size)) => Ok(size),
            Err(_) => Err(ConnectionError::new(
                Reason::COMPRESSION_ERROR,
                "a header block that cannot be decoded",
            )),
        }
    }

    /// DATA came: so much of the connection's window is used, padding and all.
    pub(crate) fn came(&mut self, flow: usize) -> Result<(), ConnectionError> {
        self.recv_window -= flow as i64;
        if self.recv_window < 0 {
            return Err(ConnectionError::new(
                Reason::FLOW_CONTROL_ERROR,
                "more than the connection's window",
            ));
        }
        Ok(())
    }

    /// What the peer has used of the connection's window and is not held, once it is worth to be given back.
    pub(crate) fn connection_due(&self, held: i64) -> Option<u32> {
        let may = self.window - held;
        let due = may - self.recv_window;
        u32::try_from(due).ok().filter(|_| due > 0 && due >= worth_a_grant(may))
    }

    /// Gives back what is due.
    pub(crate) fn grant_connection(&mut self, held: i64) {
        if let Some(due) = self.connection_due(held) {
            self.recv_window += i64::from(due);
            self.write_window_update(0, due);
        }
    }

    /// The peer takes so much more on the connection.
    pub(crate) fn widens(&mut self, increment: u32) -> Result<(), ConnectionError> {
        if increment == 0 {
            return Err(ConnectionError::protocol("WINDOW_UPDATE of nothing"));
        }
        self.send_window += i64::from(increment);
        if self.send_window > WINDOW_MAX {
            return Err(ConnectionError::new(
                Reason::FLOW_CONTROL_ERROR,
                "the connection's window is too large",
            ));
        }
        Ok(())
    }

    /// Heeds the peer's SETTINGS and acknowledges them at once (RFC 9113 6.5.3). Returns by how much the windows of its
    /// streams change.
    pub(crate) fn heed(&mut self, settings: &Settings) -> i64 {
        for size in [settings.least_header_table_size, settings.header_table_size] {
            size.into_iter().for_each(|size| self.encoder.set_max_size(size));
        }
        let before = self.stream_window;
        if let Some(window) = settings.initial_window_size {
            self.stream_window = i64::from(window);
        }
        frame::write_settings_ack(&mut self.output);
        self.went(kind::SETTINGS, 0, 0);
        self.stream_window - before
    }

    // --- what goes ---

    /// Encodes fields as a header block, and writes it. `scratch` is where it is put together.
    pub(crate) fn write_fields<'f>(
        &mut self,
        stream: u32,
        fields: impl Iterator<Item = http2::fields::Field<'f>>,
        end_stream: bool,
        scratch: &mut Vec<u8>,
    ) {
        scratch.clear();
        self.encoder.begin(scratch);
        fields.for_each(|field| self.encoder.field(field, scratch));
        frame::write_headers(&mut self.output, stream, scratch, end_stream);
        self.went(kind::HEADERS, stream, scratch.len());
    }

    pub(crate) fn write_reset(&mut self, stream: u32, reason: Reason) {
        frame::write_reset(&mut self.output, stream, reason);
        self.went(kind::RST_STREAM, stream, 4);
    }

    pub(crate) fn write_window_update(&mut self, stream: u32, increment: u32) {
        frame::write_window_update(&mut self.output, stream, increment);
        self.went(kind::WINDOW_UPDATE, stream, 4);
    }

    fn went(&mut self, kind: u8, stream: u32, len: usize) {
        self.guard.outgoing(Head { len, kind, flags: 0, stream });
    }

    /// How many bytes of a stream with so large a window may be written now.
    pub(crate) fn room(&self, allowed: i64) -> usize {
        if self.output.len() >= OUTPUT_ENOUGH {
            return 0;
        }
        usize::try_from(allowed.min(self.send_window)).unwrap_or_default()
    }

    /// Writes the head of a DATA frame, whose bytes follow by [`Output::push`].
    pub(crate) fn begin_data(&mut self, stream: u32, len: usize, end_stream: bool) {
        frame::write_data_head(&mut self.output, stream, len, end_stream);
        self.send_window -= len as i64;
        let flags = if end_stream { flag::END_STREAM } else { 0 };
        self.guard.outgoing(Head { len, kind: kind::DATA, flags, stream });
    }

    /// Writes what waits at the front of a call's way: a frame of DATA, or its end. Returns how many bytes are not held
    /// any more.
    pub(crate) fn write_next(
        &mut self,
        stream: u32,
        way: &mut Way,
        scratch: &mut Vec<u8>,
    ) -> usize {
        let room = self.room(way.allowed).min(frame::MAX_FRAME);
        let mut len = way.held.len().min(room);
        let mut is_last = len == way.held.len();
        let end_stream = is_last && matches!(way.tail, Tail::End);
        if len > 0 || end_stream {
            self.begin_data(stream, len, end_stream);
            way.held.take(len, |piece| self.output.push(piece));
            way.sent(len, end_stream);
        }
        if !is_last && way.allowed <= 0 && matches!(way.tail, Tail::Reset(_)) {
            // The receiver has made its window smaller. What it does not take would never go, and the reset with it.
            len += way.held.clear();
            is_last = true;
        }
        if is_last && !end_stream {
            match std::mem::take(&mut way.tail) {
                Tail::Open | Tail::End => {}
                Tail::Trailers(fields) => {
                    self.write_fields(stream, fields.iter(), true, scratch);
                    way.sink_ended = true;
                }
                Tail::Reset(reason) => {
                    self.write_reset(stream, reason);
                    (way.sink_ended, way.was_reset) = (true, true);
                }
            }
        }
        len
    }

    // --- turns ---

    /// The call has something to send.
    pub(crate) fn enqueue(&mut self, call: CallId, way: &mut Way) {
        if !std::mem::replace(&mut way.is_queued, true) {
            self.queue.push_back(call);
        }
    }

    /// The call has nothing to send on it any more.
    pub(crate) fn unqueue(&mut self, call: CallId, way: &mut Way) {
        if std::mem::take(&mut way.is_queued) {
            self.queue.retain(|queued| *queued != call);
        }
    }

    /// The next call whose turn it is.
    pub(crate) fn dequeue(&mut self) -> Option<CallId> {
        self.queue.pop_front()
    }

    /// How many calls have something to send.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Where the next byte will be in all that was written.
    pub(crate) fn position(&self) -> u64 {
        self.written + self.output.len() as u64
    }

    /// Gives back memory that is kept for what comes next.
    pub(crate) fn rest(&mut self) {
        self.output.shrink();
        self.queue.shrink_to_fit();
    }

    /// Takes a payload whole.
    pub(crate) fn payload(&mut self, head: Head) -> Bytes {
        self.input.payload(head.len)
    }
}

//! Follows HTTP/2 frames in bytes that pass by (RFC 9113 4.1): their heads, and of payloads only what a
//! WINDOW_UPDATE and a GOAWAY begin with.

use tunnel::limits::SMALL_FRAME;

use crate::limits::WORK_PER_HEAD_BYTE;

/// Length, type, flags, stream id.
pub(crate) const HEAD_BYTES: usize = 9;

/// Bytes that a client says before its first frame (RFC 9113 3.4).
pub(crate) const PREFACE_BYTES: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();

/// Frame types (RFC 9113 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Bytes of a setting: identifier and value (RFC 9113 6.5.1).
pub(crate) const SETTING_BYTES: usize = 6;
/// A WINDOW_UPDATE's payload: the increment (RFC 9113 6.9).
const INCREMENT_BYTES: usize = 4;
/// What a GOAWAY's payload begins with: the last stream and the error code (RFC 9113 6.8).
const GOAWAY_BYTES: usize = 8;

const FLAG_END_STREAM: u8 = 0x1;
const FLAG_END_HEADERS: u8 = 0x4;
const FLAG_PADDED: u8 = 0x8;

/// What stands at the beginning of every frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the payload.
    pub(crate) len: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl Head {
    fn parse(bytes: [u8; HEAD_BYTES]) -> Self {
        let [a, b, c, kind, flags, stream @ ..] = bytes;
        Self {
            len: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            // The first bit is reserved.
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
        }
    }

    /// What `bytes` begin with, if there are enough of them.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().copied().map(Self::parse)
    }

    /// The last of its stream, in this direction. Of DATA and HEADERS.
    pub(crate) fn ends_stream(self) -> bool {
        self.flags & FLAG_END_STREAM != 0
    }

    /// DATA of which more counts against the window than is passed on.
    pub(crate) fn is_padded_data(self) -> bool {
        self.kind == DATA && self.flags & FLAG_PADDED != 0
    }

    /// DATA that costs more to pass on than its bytes, and more of the same may follow.
    pub(crate) fn is_small_data(self) -> bool {
        self.kind == DATA && self.len < SMALL_FRAME && !self.ends_stream()
    }

    /// What it costs of a turn to decode it. Of HEADERS and CONTINUATION.
    pub(crate) fn head_work(self) -> usize {
        self.len * WORK_PER_HEAD_BYTE
    }

    /// DATA that says nothing: no byte, no padding, not the end.
    pub(crate) fn is_idle_data(self) -> bool {
        let nothing = self.len == 0 && self.flags & (FLAG_END_STREAM | FLAG_PADDED) == 0;
        self.kind == DATA && self.stream != 0 && nothing
    }
}

/// A WINDOW_UPDATE frame.
pub(crate) fn window_update(stream: u32, increment: u32) -> [u8; HEAD_BYTES + INCREMENT_BYTES] {
    let mut frame = [0; HEAD_BYTES + INCREMENT_BYTES];
    frame[2] = INCREMENT_BYTES as u8;
    frame[3] = WINDOW_UPDATE;
    frame[5..9].copy_from_slice(&stream.to_be_bytes());
    frame[9..].copy_from_slice(&increment.to_be_bytes());
    frame
}

/// What is told of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// It begins.
    Head(Head),
    /// It was a WINDOW_UPDATE, and is complete.
    WindowUpdate { stream: u32, increment: u32 },
    /// It is a GOAWAY, and has come as far as its error code.
    Goaway { code: u32 },
}

/// Follows the frames of one direction of one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frames {
    /// Bytes until the next head.
    skip: usize,
    /// What the frame that is skipped begins with, if that is of interest.
    note: Option<Note>,
    head: [u8; HEAD_BYTES],
    /// How much of the next head has come.
    have: usize,
    /// How much of that has been passed on already.
    passed: usize,
    /// A header block has begun, which nothing but CONTINUATION may interrupt (RFC 9113 6.10).
    in_block: bool,
}

/// The beginning of a payload.
#[derive(Clone, Copy, Debug)]
struct Note {
    head: Head,
    bytes: [u8; GOAWAY_BYTES],
    have: usize,
}

impl Frames {
    /// `skip` bytes come before the first frame.
    pub(crate) fn after(skip: usize) -> Self {
        Self { skip, ..Self::default() }
    }

    /// Whether another frame may go between the last and the next.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.skip == 0 && self.have == 0 && !self.in_block
    }

    /// How much has to come before there is more to tell of the frame: its head or its payload.
    pub(crate) fn left_of_frame(&self) -> usize {
        if self.skip > 0 { self.skip } else { HEAD_BYTES - self.have }
    }

    /// Looks at what passes.
    pub(crate) fn follow(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        while !bytes.is_empty() {
            bytes = &bytes[self.skip_payload(bytes, &mut each)..];
            if self.skip == 0 {
                bytes = &bytes[self.take_head(bytes)..];
            }
            if let Some(head) = self.whole_head() {
                each(Frame::Head(head));
            }
        }
    }

    /// What has come of a head that is not whole, and was not passed on: it goes before what comes next.
    pub(crate) fn held(&self) -> &[u8] {
        &self.head[self.passed..self.have]
    }

    /// So much of what was held had to be passed on.
    pub(crate) fn pass_held(&mut self, bytes: usize) {
        self.passed += bytes;
    }

    /// Takes [idle DATA](Head::is_idle_data) out of what passes, and looks at everything.
    /// `bytes` begins with what was [held](Self::held). Returns how many bytes are left, at its front; a
    /// head at its end that is not whole is held.
    pub(crate) fn sift(&mut self, bytes: &mut [u8], mut each: impl FnMut(Frame)) -> usize {
        let mut read = self.held().len();
        let (mut kept, mut head_at) = (read, 0);
        while read < bytes.len() {
            let from = read;
            if self.skip > 0 {
                read += self.skip_payload(&bytes[read..], &mut each);
            } else {
                if self.have == 0 {
                    head_at = kept;
                }
                read += self.take_head(&bytes[read..]);
            }
            if kept != from {
                bytes.copy_within(from..read, kept);
            }
            kept += read - from;
            let partly_passed = self.passed > 0;
            if let Some(head) = self.whole_head() {
                each(Frame::Head(head));
                if head.is_idle_data() && !partly_passed {
                    kept = head_at;
                }
            }
        }
        if self.have == 0 { kept } else { head_at }
    }

    /// Skips what belongs to a payload at the front of `bytes`; returns how much that is.
    fn skip_payload(&mut self, bytes: &[u8], each: &mut impl FnMut(Frame)) -> usize {
        let len = self.skip.min(bytes.len());
        if let Some(note) = &mut self.note
            && let Some(frame) = note.take(&bytes[..len])
        {
            each(frame);
            self.note = None;
        }
        self.skip -= len;
        len
    }

    /// Takes what belongs to the next head from the front of `bytes`; returns how much that is.
    fn take_head(&mut self, bytes: &[u8]) -> usize {
        let len = (HEAD_BYTES - self.have).min(bytes.len());
        self.head[self.have..self.have + len].copy_from_slice(&bytes[..len]);
        self.have += len;
        len
    }

    fn whole_head(&mut self) -> Option<Head> {
        if self.have < HEAD_BYTES {
            return None;
        }
        let head = Head::parse(self.head);
        if matches!(head.kind, HEADERS | PUSH_PROMISE | CONTINUATION) {
            self.in_block = head.flags & FLAG_END_HEADERS == 0;
        }
        (self.skip, self.have, self.passed) = (head.len, 0, 0);
        self.note = Note::of(head);
        Some(head)
    }
}

impl Note {
    fn of(head: Head) -> Option<Self> {
        let wanted = match head.kind {
            WINDOW_UPDATE => head.len == INCREMENT_BYTES,
            GOAWAY => head.len >= GOAWAY_BYTES,
            _ => false,
        };
        wanted.then_some(Self { head, bytes: [0; GOAWAY_BYTES], have: 0 })
    }

    /// Takes what has come of the payload; returns what it says once there is enough of it.
    fn take(&mut self, payload: &[u8]) -> Option<Frame> {
        let wanted = self.head.len.min(GOAWAY_BYTES);
        let len = (wanted - self.have).min(payload.len());
        self.bytes[self.have..self.have + len].copy_from_slice(&payload[..len]);
        self.have += len;
        if self.have < wanted {
            return None;
        }
        let [a, b, c, d, code @ ..] = self.bytes;
        Some(match self.head.kind {
            GOAWAY => Frame::Goaway { code: u32::from_be_bytes(code) },
            _ => Frame::WindowUpdate {
                stream: self.head.stream,
                // The first bit is reserved.
                increment: u32::from_be_bytes([a, b, c, d]) & (u32::MAX >> 1),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let len = u8::try_from(payload.len()).expect("short");
        let mut frame = vec![0, 0, len, kind, flags, 0, 0, 0, stream];
        frame.extend(payload);
        frame
    }

    /// Sifts `input` in pieces of `size`, as a reader does: what is held goes before the next piece.
    fn sift(input: &[u8], size: usize) -> Vec<u8> {
        let mut frames = Frames::after(3);
        let mut output = Vec::new();
        for piece in input.chunks(size) {
            let mut bytes = [frames.held(), piece].concat();
            let kept = frames.sift(&mut bytes, |_| {});
            output.extend(&bytes[..kept]);
        }
        output
    }

    #[test]
    fn idle_data_is_taken_out_however_it_is_cut() {
        let idle = frame(DATA, 0, 1, b"");
        let others = [
            frame(HEADERS, 4, 1, b"abc"),
            frame(DATA, 0, 1, b"\0\0\0\0\0\0\0\0\0"),
            frame(DATA, FLAG_END_STREAM, 1, b""),
            frame(DATA, FLAG_PADDED, 1, b"\x02\0\0"),
            frame(DATA, 0, 0, b""),
            frame(SETTINGS, 0, 0, b""),
        ];
        let mut input = b"PRI".to_vec();
        let mut expected = input.clone();
        for other in &others {
            input.extend([&idle[..], other, &idle, &idle].concat());
            expected.extend(other);
        }
        for size in 1..40 {
            assert_eq!(sift(&input, size), expected, "in pieces of {size}");
        }
    }

    #[test]
    fn what_had_to_be_passed_on_is_not_taken_out() {
        let idle = frame(DATA, 0, 1, b"");
        let mut frames = Frames::default();
        let mut first = idle[..5].to_vec();
        assert_eq!(frames.sift(&mut first, |_| {}), 0);
        frames.pass_held(2);
        let mut rest = [frames.held(), &idle[5..], &idle].concat();
        let kept = frames.sift(&mut rest, |_| {});
        assert_eq!(&rest[..kept], &idle[2..]);
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let update = frame(WINDOW_UPDATE, 0, 3, b"\x80\0\x01\x02");
        let goaway = frame(GOAWAY, 0, 0, b"\0\0\0\x05\0\0\0\x0bwhy");
        let input = [frame(SETTINGS, 0, 0, b"123456"), update, goaway].concat();
        for size in 1..20 {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for piece in input.chunks(size) {
                frames.follow(piece, |frame| {
                    found.push(match frame {
                        Frame::Head(head) => (head.kind, head.len as u32, head.stream),
                        Frame::WindowUpdate { stream, increment } => (0xff, increment, stream),
                        Frame::Goaway { code } => (0xfe, code, 0),
                    });
                });
            }
            assert_eq!(
                found,
                [
                    (SETTINGS, 6, 0),
                    (WINDOW_UPDATE, 4, 3),
                    (0xff, 258, 3),
                    (GOAWAY, 11, 0),
                    (0xfe, 11, 0)
                ]
            );
        }
    }
}

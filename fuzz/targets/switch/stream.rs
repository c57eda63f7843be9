//! What is known of a stream at a peer of the switch.

use http::{HeaderName, HeaderValue};
use http2::error::Reason;
use http2::fields::{Field, Fields};
use http2::message;

/// Codes with which a switch resets streams of a lane: that nobody wants the answer, or what is wrong with it.
const OF_LANES: [Reason; 7] = [
    Reason::NO_ERROR,
    Reason::CANCEL,
    Reason::PROTOCOL_ERROR,
    Reason::FLOW_CONTROL_ERROR,
    Reason::STREAM_CLOSED,
    Reason::FRAME_SIZE_ERROR,
    Reason::ENHANCE_YOUR_CALM,
];

/// What the switch has said on it.
#[derive(Debug, Default)]
pub struct Stream {
    /// Bytes that the peer has given it room for, beside what every stream has.
    pub given: i64,
    /// Bytes that came.
    pub taken: i64,
    /// The head has come, after which there is DATA and trailers.
    has_head: bool,
    ended: bool,
    reset: bool,
}

impl Stream {
    /// Whether the head has come.
    pub fn has_head(&self) -> bool {
        self.has_head
    }

    /// A header block has come from the switch.
    pub fn heard_block(&mut self, fields: &Fields, end: bool, to_client: bool) {
        assert!(!self.ended && !self.reset, "a header block after the end: {fields:?}");
        fields.iter().for_each(check_for_h2);
        if self.has_head {
            assert!(end, "trailers that are not the end: {fields:?}");
            assert_eq!(message::trailers(fields).err(), None);
        } else if to_client {
            let status = message::response(fields).expect("a response").status;
            self.has_head = status >= 200;
            assert!(self.has_head || !end, "nothing follows a {status}");
        } else {
            assert_eq!(message::request(fields).err(), None);
            self.has_head = true;
        }
        self.ended = end;
    }

    /// DATA has come from the switch.
    pub fn heard_data(&mut self, len: usize, end: bool) {
        assert!(self.has_head, "DATA before a head");
        assert!(!self.ended && !self.reset, "DATA after the end");
        self.taken += len as i64;
        self.ended = end;
    }

    /// The switch has reset it; once more where its peer has broken it once more.
    pub fn heard_reset(&mut self, code: Reason, to_client: bool) {
        if to_client {
            // Some clients take NO_ERROR for the answer's end.
            assert!(code != Reason::NO_ERROR || self.ended, "NO_ERROR before the end");
            assert!(code.name().is_some(), "a client hears {code}");
        } else {
            // What a client says of its own connection is no upstream's business.
            assert!(OF_LANES.contains(&code), "an upstream hears {code}");
        }
        self.reset = true;
    }

    /// The switch has given room on it.
    pub fn heard_window(&self) {
        assert!(!self.reset, "a window after a reset");
    }
}

/// No field is one for which h2 ends a whole connection.
fn check_for_h2(field: Field<'_>) {
    let is_name = field.name.starts_with(b":") || HeaderName::from_lowercase(field.name).is_ok();
    let is_value = HeaderValue::from_bytes(field.value).is_ok();
    assert!(is_name && is_value, "{field:?}");
}

//! What an endpoint takes (RFC 9113 6.5, RFC 8441 3).

use crate::error::{ConnectionError, Reason};
use crate::frame::{self, Head, MAX_FRAME, kind};
use crate::output::Output;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;
const MAX_HEADER_LIST_SIZE: u16 = 6;
const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// Bytes of a setting: identifier and value (RFC 9113 6.5.1).
const SETTING_BYTES: usize = 6;
/// As many as [`Settings::write`] can write: one of each, and the least table size.
const SETTINGS_MAX: usize = 8;

/// The largest window (RFC 9113 6.9.1).
pub const WINDOW_MAX: u32 = u32::MAX >> 1;
/// The largest value of MAX_FRAME_SIZE (RFC 9113 6.5.2), whose least is [`MAX_FRAME`].
const MAX_FRAME_SIZE_MAX: u32 = (1 << 24) - 1;

/// What one SETTINGS frame says. What it does not name stays as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of the table with which the peer may compress.
    pub header_table_size: Option<u32>,
    /// The least of the table sizes, where the frame names several. The encoder must go down to it before it goes up
    /// again (RFC 7541 4.2). With only one named it is that one.
    pub least_header_table_size: Option<u32>,
    /// 1 where a server may push, or 0.
    pub enable_push: Option<u32>,
    /// So many streams the peer may have open at a time.
    pub max_concurrent_streams: Option<u32>,
    /// Bytes of every stream's window, at most [`WINDOW_MAX`].
    pub initial_window_size: Option<u32>,
    /// Bytes of the longest payload that is taken, from [`MAX_FRAME`] to 2^24-1.
    pub max_frame_size: Option<u32>,
    /// Bytes of a list of fields that is taken, as [`Fields::size`](crate::fields::Fields::size) counts.
    pub max_header_list_size: Option<u32>,
    /// 1 where the server takes `:protocol`, or 0 (RFC 8441 3).
    pub enable_connect_protocol: Option<u32>,
}

impl Settings {
    /// Reads the payload of SETTINGS. Of a setting that is named more than once the last counts; unknown ones are
    /// passed over (RFC 9113 6.5.2).
    ///
    /// # Errors
    /// FRAME_SIZE_ERROR where it is not of 6 bytes each, FLOW_CONTROL_ERROR where the window is too large, and
    /// PROTOCOL_ERROR for any other value that is not allowed.
    pub fn parse(payload: &[u8]) -> Result<Self, ConnectionError> {
        if !payload.len().is_multiple_of(SETTING_BYTES) {
            let why = "SETTINGS that are not of 6 bytes each";
            return Err(ConnectionError::new(Reason::FRAME_SIZE_ERROR, why));
        }
        let mut settings = Self::default();
        for (id, value) in frame::settings(payload) {
            check(id, value)?;
            settings.set(id, value);
        }
        Ok(settings)
    }

    /// Writes a SETTINGS frame with those that are there. Where `least_header_table_size` is below the last size it
    /// goes before it, so that the reader finds both.
    pub fn write(&self, out: &mut Output) {
        // `None` is less than any.
        let least = self.least_header_table_size;
        let least = least.filter(|least| Some(*least) < self.header_table_size);
        let all: [(u16, Option<u32>); SETTINGS_MAX] = [
            (HEADER_TABLE_SIZE, least),
            (HEADER_TABLE_SIZE, self.header_table_size),
            (ENABLE_PUSH, self.enable_push),
            (MAX_CONCURRENT_STREAMS, self.max_concurrent_streams),
            (INITIAL_WINDOW_SIZE, self.initial_window_size),
            (MAX_FRAME_SIZE, self.max_frame_size),
            (MAX_HEADER_LIST_SIZE, self.max_header_list_size),
            (ENABLE_CONNECT_PROTOCOL, self.enable_connect_protocol),
        ];
        let present = all.iter().filter(|(_, value)| value.is_some()).count();
        let len = present * SETTING_BYTES;
        out.extend(&Head { len, kind: kind::SETTINGS, flags: 0, stream: 0 }.bytes());
        for (id, value) in all {
            if let Some(value) = value {
                out.extend(&id.to_be_bytes());
                out.extend(&value.to_be_bytes());
            }
        }
    }

    fn set(&mut self, id: u16, value: u32) {
        let field = match id {
            HEADER_TABLE_SIZE => {
                let least = self.least_header_table_size.map_or(value, |least| least.min(value));
                self.least_header_table_size = Some(least);
                &mut self.header_table_size
            }
            ENABLE_PUSH => &mut self.enable_push,
            MAX_CONCURRENT_STREAMS => &mut self.max_concurrent_streams,
            INITIAL_WINDOW_SIZE => &mut self.initial_window_size,
            MAX_FRAME_SIZE => &mut self.max_frame_size,
            MAX_HEADER_LIST_SIZE => &mut self.max_header_list_size,
            ENABLE_CONNECT_PROTOCOL => &mut self.enable_connect_protocol,
            _ => return,
        };
        *field = Some(value);
    }
}

fn check(id: u16, value: u32) -> Result<(), ConnectionError> {
    match id {
        ENABLE_PUSH if value > 1 => {
            Err(ConnectionError::protocol("ENABLE_PUSH is neither 0 nor 1"))
        }
        INITIAL_WINDOW_SIZE if value > WINDOW_MAX => Err(ConnectionError::new(
            Reason::FLOW_CONTROL_ERROR,
            "INITIAL_WINDOW_SIZE is beyond 2^31-1",
        )),
        MAX_FRAME_SIZE if !(MAX_FRAME as u32..=MAX_FRAME_SIZE_MAX).contains(&value) => {
            Err(ConnectionError::protocol("MAX_FRAME_SIZE is not from 2^14 to 2^24-1"))
        }
        ENABLE_CONNECT_PROTOCOL if value > 1 => {
            Err(ConnectionError::protocol("ENABLE_CONNECT_PROTOCOL is neither 0 nor 1"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::input::Input;
    use crate::output::tests::written;

    fn payload(settings: &[(u16, u32)]) -> Vec<u8> {
        let one = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        settings.iter().flat_map(one).collect()
    }

    #[test]
    fn the_last_of_repeated_ones_counts() {
        let table = |sizes: &[u32]| {
            let sizes: Vec<_> = sizes.iter().map(|size| (HEADER_TABLE_SIZE, *size)).collect();
            let settings = Settings::parse(&payload(&sizes)).expect("settings");
            (settings.least_header_table_size, settings.header_table_size)
        };
        assert_eq!(table(&[]), (None, None));
        assert_eq!(table(&[100]), (Some(100), Some(100)));
        assert_eq!(table(&[100, 0, 4096]), (Some(0), Some(4096)));
        let twice = [(MAX_CONCURRENT_STREAMS, 5), (0xee, 9), (MAX_CONCURRENT_STREAMS, 3)];
        let read = Settings { max_concurrent_streams: Some(3), ..Settings::default() };
        assert_eq!(Settings::parse(&payload(&twice)), Ok(read));
    }

    #[test]
    fn values_at_their_bounds() {
        for (id, allowed, refused, reason) in [
            (ENABLE_PUSH, 1, 2, Reason::PROTOCOL_ERROR),
            (INITIAL_WINDOW_SIZE, WINDOW_MAX, WINDOW_MAX + 1, Reason::FLOW_CONTROL_ERROR),
            (MAX_FRAME_SIZE, 16_384, 16_383, Reason::PROTOCOL_ERROR),
            (MAX_FRAME_SIZE, 16_777_215, 16_777_216, Reason::PROTOCOL_ERROR),
            (ENABLE_CONNECT_PROTOCOL, 1, 2, Reason::PROTOCOL_ERROR),
        ] {
            assert!(Settings::parse(&payload(&[(id, allowed)])).is_ok(), "{id} {allowed}");
            let refused = Settings::parse(&payload(&[(id, refused), (id, allowed)]));
            assert_eq!(refused.map_err(|error| error.reason), Err(reason), "{id}");
        }
        for id in [HEADER_TABLE_SIZE, MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE] {
            assert!(Settings::parse(&payload(&[(id, u32::MAX)])).is_ok(), "{id}");
        }
        let cut = Settings::parse(&[0; 7]).map_err(|error| error.reason);
        assert_eq!(cut, Err(Reason::FRAME_SIZE_ERROR));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn settings_survive_the_wire(
            tables in option::of((0..9_u32, 0..9_u32)),
            push in option::of(0..2_u32),
            streams: Option<u32>,
            window in option::of(0..=WINDOW_MAX),
            frame in option::of(16_384..=MAX_FRAME_SIZE_MAX),
            list: Option<u32>,
            protocol in option::of(0..2_u32),
        ) {
            let settings = Settings {
                header_table_size: tables.map(|(last, _)| last),
                least_header_table_size: tables.map(|(last, other)| last.min(other)),
                enable_push: push,
                max_concurrent_streams: streams,
                initial_window_size: window,
                max_frame_size: frame,
                max_header_list_size: list,
                enable_connect_protocol: protocol,
            };
            let mut out = Output::new();
            settings.write(&mut out);
            let mut input = Input::new();
            input.push(written(&out).into());
            let head = input.next_frame().expect("a frame").expect("a whole one");
            prop_assert_eq!(head.check(), Ok(()));
            prop_assert_eq!(Settings::parse(&input.payload(head.len)), Ok(settings));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn no_settings_do_harm(payload: Vec<u8>) {
            let _ = Settings::parse(&payload);
        }
    }
}

//! Frames, by the first byte of the input: whatever bytes come, and however they come, what is read of them is what a
//! model straight from RFC 9113 reads; what is written is read as it was, however it is taken and cut; and of what a
//! client may say first and second, a switch refuses nothing that `h2` takes, and takes nothing that `h2` refuses, but
//! for what is listed.
//!
//! Input: which of the three, then: manners, sizes of chunks, a script of frames and bytes (`script.rs`); a script of
//! writes; or a head and a frame.
#![no_main]

mod against_h2;
mod read;
mod rfc;
mod script;
mod write;

use fuzz::Draw;
use http2::error::{ConnectionError, Reason};
use http2::frame::Fault;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((0, data)) => read::run(Draw::new(data)),
        Some((1, script)) => write::run(Draw::new(script)),
        Some((_, data)) => against_h2::run(Draw::new(data)),
        None => {}
    }
});

/// What a frame is found to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// Kind, flags, stream, payload.
    Frame(u8, u8, u32, Vec<u8>),
    /// What is inside of DATA.
    Data(Vec<u8>),
    /// All that they name.
    Settings(http2::settings::Settings),
    /// Of RST_STREAM and WINDOW_UPDATE.
    Number(u32),
    /// Last stream, code, words.
    Goaway(u32, u32, Vec<u8>),
    /// Stream, END_STREAM, block.
    Block(u32, bool, Vec<u8>),
    /// The frame is the fault of its stream.
    Broken(u32),
    /// Nothing is read any more.
    Failed(u32),
}

impl From<ConnectionError> for Seen {
    fn from(error: ConnectionError) -> Self {
        Self::Failed(error.reason.0)
    }
}

impl From<Fault> for Seen {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Stream { reason: Reason(code), .. } => Self::Broken(code),
            Fault::Connection(error) => error.into(),
        }
    }
}

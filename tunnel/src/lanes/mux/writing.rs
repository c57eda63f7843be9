//! What users of lanes write: queued, as far as there is room for it.

use std::io::IoSlice;

use bytes::{Buf, BytesMut};

use super::Mux;
use crate::lanes::frame::{self, HEAD_BYTES};

impl Mux {
    /// Queues as much of `slices` as there is room for; returns how much that was. Nothing on a lane that is over.
    pub fn write(&mut self, id: u32, slices: &[IoSlice<'_>]) -> usize {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return 0;
        };
        let written = lane.write(id, slices);
        if written > 0 {
            self.turns.join(id, lane);
        }
        written
    }

    /// Takes as much of `bytes` as there is room for, and queues it; large pieces without a copy. Returns how much that was.
    pub fn write_from(&mut self, id: u32, bytes: &mut impl Buf) -> usize {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return 0;
        };
        let written = lane.write_from(id, bytes);
        if written > 0 {
            self.turns.join(id, lane);
        }
        written
    }

    /// Queues a message that was begun with [`frame::data`], if there is room for all of it, and leaves it empty; or as
    /// much of it as there is room for. Returns how many bytes that was.
    pub fn write_message(&mut self, id: u32, message: &mut BytesMut) -> usize {
        let len = message.len().saturating_sub(HEAD_BYTES);
        let Some(lane) = self.lanes.get_mut(&id).filter(|lane| lane.is_open() && len > 0) else {
            return 0;
        };
        if len <= lane.room() {
            lane.queue(std::mem::take(message));
            self.turns.join(id, lane);
            return len;
        }
        // The peer has given so little credit.
        let written = self.write(id, &[IoSlice::new(&message[HEAD_BYTES..])]);
        if written > 0 {
            let mut rest = frame::data(id, len - written);
            rest.extend_from_slice(&message[HEAD_BYTES + written..]);
            *message = rest;
        }
        written
    }
}

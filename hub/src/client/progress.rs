//! How far calls that run have come: counted as they go on, for some run for days.

use switch::CallId;
use tokio::time::Instant;

use super::connection::Connection;
use crate::limits::CALLS_LOOK;

impl Connection {
    /// Tells the meters what has moved, and has it told soon whose it was.
    pub(super) fn note_moved(&mut self) {
        let (up, down) = self.switch.moved();
        let (request, response) = &mut self.meters;
        request.set(up);
        response.set(down);
        if self.switch.calls() == 0 {
            request.tell();
            response.tell();
        } else if (up, down) != self.calls_look.moved {
            self.look_at_calls_soon();
        }
    }

    /// There is something to count: all calls are looked at in a while.
    pub(super) fn look_at_calls_soon(&mut self) {
        if self.calls_look.due.is_none() {
            let now = Instant::now();
            self.calls_look.due = Some((now + CALLS_LOOK, now));
            self.look_by(now + CALLS_LOOK);
        }
    }

    /// Counts what has passed of calls that run, and whom they wait for. Looks again while there is more of it. Returns whether
    /// there were calls a moment ago.
    pub(super) fn look_at_calls(&mut self, now: Instant) -> bool {
        let Some((at, since)) = self.calls_look.due else { return false };
        if now < at {
            self.look_by(at);
            return true;
        }
        let moved = self.switch.moved();
        let mut has_more = moved != std::mem::replace(&mut self.calls_look.moved, moved);
        self.calls_look.due = None;
        let calls: Vec<CallId> = self.switch.call_ids().collect();
        for id in &calls {
            if let Some(progress) = self.switch.progress(*id)
                && let Some(call) = self.call(*id)
            {
                has_more |= progress.waits_for.is_some();
                call.record.runs(&progress, now - since);
            }
        }
        if has_more && !calls.is_empty() {
            self.look_at_calls_soon();
        }
        true
    }
}

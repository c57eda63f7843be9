//! A call as a line of JSON.

use std::time::Duration;

use serde::Serialize;
use tunnel::name::Name;

use crate::message::refusal::Refusal;
use crate::observe::ending::Ending;

/// A key as it stands in a line.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// From behind its time, with its end. What there is none of is left out. Times are in microseconds, from the request's head to
/// when it was sent on, to the head of the answer, and to the end.
pub(super) fn of(ending: &Ending<'_>) -> Vec<u8> {
    let mut line = Line(Vec::with_capacity(512));
    let [request_messages, response_messages] = match ending.messages {
        Some((request, response)) => [Some(request), Some(response)],
        None => [None, None],
    };
    line.some(key!("name"), ending.name.map(Name::as_str));
    line.put(key!("method"), ending.method_cut());
    line.put(key!("status"), ending.outcome);
    line.some(key!("hub_reason"), ending.refusal.map(Refusal::reason));
    line.some(key!("error"), ending.is_error().then_some(true));
    // Where it was the client who ended it.
    line.some(key!("given_up"), ending.is_clients.then_some(true));
    line.put(key!("kind"), ending.kind.label());
    line.some(key!("caller"), ending.caller);
    line.put(key!("address"), ending.peer.ip());
    // Not where a proxy has said the address.
    line.some(key!("port"), Some(ending.peer.port()).filter(|port| *port > 0));
    // The agent process, and its session.
    line.some(key!("instance"), ending.instance);
    line.some(key!("session"), ending.session);
    line.some(key!("lane"), ending.lane);
    line.put(key!("request_bytes"), ending.bytes.0);
    line.put(key!("response_bytes"), ending.bytes.1);
    line.some(key!("request_messages"), request_messages);
    line.some(key!("response_messages"), response_messages);
    line.some(key!("queue_us"), ending.queue.map(micros));
    line.some(key!("head_us"), ending.head.map(micros));
    line.put(key!("total_us"), micros(ending.total));
    line.some(key!("parked_us"), ending.parked.map(micros));
    line.some(key!("replays"), (ending.replays > 0).then_some(ending.replays));
    line.some(key!("trace_id"), ending.trace.map(|trace| trace.id));
    line.0.extend_from_slice(b"}\n");
    line.0
}

/// Serde's derived code would look in each key for what is to be escaped: of a call, that is a third of what its line costs.
struct Line(Vec<u8>);

impl Line {
    fn put(&mut self, key: &'static str, value: impl Serialize) {
        self.0.extend_from_slice(key.as_bytes());
        // Texts and numbers can always be written, and memory takes them.
        let _ = serde_json::to_writer(&mut self.0, &value);
    }

    fn some(&mut self, key: &'static str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

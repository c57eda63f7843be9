//! JSON as the client reads it: what fits the message survives the wire, and survives being printed.
//!
//! Input: JSON documents for the message `Kinds` of `kinds.proto`.
#![no_main]

use std::sync::LazyLock;

use client::fuzzing::requests;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;

static KINDS: LazyLock<MessageDescriptor> = LazyLock::new(|| {
    let descriptors = include_bytes!(concat!(env!("OUT_DIR"), "/kinds.bin"));
    let pool = DescriptorPool::decode(descriptors.as_slice()).expect("descriptors");
    pool.get_message_by_name("fuzz.Kinds").expect("the message")
});

fuzz_target!(|data: &[u8]| {
    for message in requests(&KINDS, data).unwrap_or_default() {
        let bytes = message.encode_to_vec();
        let decoded = DynamicMessage::decode(KINDS.clone(), &*bytes).expect("our own bytes");
        let Some(json) = to_json(&message) else {
            // Some messages can be sent and not be printed, such as an `Any` of unknown type.
            continue;
        };
        assert_eq!(to_json(&decoded), Some(json.clone()), "on the wire");
        let read = requests(&KINDS, json.to_string().as_bytes()).expect("our own JSON");
        let again: Vec<_> = read.iter().map(to_json).collect();
        assert_eq!(again, [Some(json)], "in print");
    }
});

/// A message as JSON, in which maps have an order and NaN is the same as NaN.
fn to_json(message: &DynamicMessage) -> Option<Value> {
    serde_json::to_value(message).ok()
}

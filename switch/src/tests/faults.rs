//! What breaks the protocol ends what it should, and no more.

use bytes::Bytes;
use http2::error::Reason;
use http2::frame::{PREFACE, flag, kind};
use http2::settings::Settings;

use super::end::{Got, fields};
use super::world::{MAX_CALLS, OK, World, window};
use crate::{Event, How, Limits, Switch, Unfit, Unguarded};

/// Kind, flags, stream, payload.
type Frame = (u8, u8, u32, &'static [u8]);

/// What ends the connection of a client that has one call, whose stream is 1, and has ended another, 3.
const FATAL: [(Frame, Reason); 22] = [
    ((kind::DATA, 0, 0, b"x"), Reason::PROTOCOL_ERROR),
    ((kind::DATA, 0, 9, b"x"), Reason::PROTOCOL_ERROR),
    ((kind::DATA, flag::PADDED, 1, b"\x05x"), Reason::PROTOCOL_ERROR),
    ((kind::HEADERS, flag::END_HEADERS, 0, b""), Reason::PROTOCOL_ERROR),
    ((kind::HEADERS, flag::END_HEADERS, 6, b"\x82"), Reason::PROTOCOL_ERROR),
    ((kind::HEADERS, flag::END_HEADERS, 3, b"\x82"), Reason::STREAM_CLOSED),
    ((kind::HEADERS, flag::END_HEADERS, 5, b"\xff\xff\xff\xff"), Reason::COMPRESSION_ERROR),
    ((kind::CONTINUATION, flag::END_HEADERS, 1, b""), Reason::PROTOCOL_ERROR),
    ((kind::RST_STREAM, 0, 1, b"\0"), Reason::FRAME_SIZE_ERROR),
    ((kind::SETTINGS, 0, 1, b""), Reason::PROTOCOL_ERROR),
    ((kind::SETTINGS, 0, 0, b"\0"), Reason::FRAME_SIZE_ERROR),
    ((kind::SETTINGS, flag::ACK, 0, b"\0\x01\0\0\0\0"), Reason::FRAME_SIZE_ERROR),
    ((kind::SETTINGS, 0, 0, b"\0\x02\0\0\0\x02"), Reason::PROTOCOL_ERROR),
    ((kind::SETTINGS, 0, 0, b"\0\x04\xff\xff\xff\xff"), Reason::FLOW_CONTROL_ERROR),
    ((kind::SETTINGS, 0, 0, b"\0\x05\0\0\0\0"), Reason::PROTOCOL_ERROR),
    ((kind::PING, 0, 0, b"\0"), Reason::FRAME_SIZE_ERROR),
    ((kind::GOAWAY, 0, 0, b"\0"), Reason::FRAME_SIZE_ERROR),
    ((kind::WINDOW_UPDATE, 0, 0, b"\0\0\0\0"), Reason::PROTOCOL_ERROR),
    ((kind::WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), Reason::FLOW_CONTROL_ERROR),
    ((kind::WINDOW_UPDATE, 0, 9, b"\0\0\0\x01"), Reason::PROTOCOL_ERROR),
    ((kind::PRIORITY, 0, 9, b"\0"), Reason::PROTOCOL_ERROR),
    ((kind::PUSH_PROMISE, flag::END_HEADERS, 1, b"\0\0\0\x02"), Reason::PROTOCOL_ERROR),
];

/// What ends the call alone.
const OF_STREAM: [(Frame, Reason); 5] = [
    ((kind::WINDOW_UPDATE, 0, 1, b"\0\0\0\0"), Reason::PROTOCOL_ERROR),
    ((kind::WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff"), Reason::FLOW_CONTROL_ERROR),
    ((kind::PRIORITY, 0, 1, b"\0"), Reason::FRAME_SIZE_ERROR),
    ((kind::PRIORITY, 0, 1, b"\0\0\0\x01\x10"), Reason::PROTOCOL_ERROR),
    // Trailers that do not end the stream.
    ((kind::HEADERS, flag::END_HEADERS, 1, b""), Reason::PROTOCOL_ERROR),
];

/// What does nothing.
const HARMLESS: [Frame; 9] = [
    (kind::DATA, 0, 1, b""),
    (kind::DATA, flag::PADDED, 1, b"\0"),
    (kind::PRIORITY, 0, 9, b"\0\0\0\x01\x10"),
    (kind::PING, flag::ACK, 0, b"12345678"),
    (kind::GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0"),
    (kind::WINDOW_UPDATE, 0, 3, b"\0\0\0\x01"),
    (kind::RST_STREAM, 0, 3, b"\0\0\0\x08"),
    // Of a stream that was never opened (HAProxy 2.6).
    (kind::RST_STREAM, 0, 9, b"\0\0\0\x08"),
    (0xee, 0xff, 77, b"whatever"),
];

fn world_with_calls() -> World {
    let mut world = World::plain();
    let (_, done) = (world.call(0, false), world.call(0, true));
    world.pump();
    world.answer(done, 0, &OK, true);
    world.pump();
    world
}

#[test]
fn faults_of_a_client() {
    for (index, ((kind, flags, stream, payload), reason)) in FATAL.into_iter().enumerate() {
        let mut world = world_with_calls();
        world.client.raw(kind, flags, stream, payload);
        world.client_speaks();
        assert_eq!(world.error.map(|error| error.reason), Some(reason), "{index}");
        world.lane_hears(0);
        assert_eq!(world.lanes[&0].streams[&1].reset, Some(Reason::CANCEL), "{index}");
        world.assert_empty();
    }
    for (index, ((kind, flags, stream, payload), reason)) in OF_STREAM.into_iter().enumerate() {
        let mut world = world_with_calls();
        world.client.raw(kind, flags, stream, payload);
        world.pump();
        assert_eq!((world.error, world.reset_of(1)), (None, Some(reason)), "{index}");
        assert_eq!(world.ended_by(1), Some(How::ClientBreach(reason)), "{index}");
        assert_eq!(world.lanes[&0].streams[&1].reset, Some(Reason::CANCEL), "{index}");
        world.assert_empty();
    }
    let mut world = world_with_calls();
    for (kind, flags, stream, payload) in HARMLESS {
        world.client.raw(kind, flags, stream, payload);
        world.pump();
        assert_eq!((world.error, world.switch.calls()), (None, 1));
    }
}

#[test]
fn faults_of_an_upstream() {
    for (index, ((kind, flags, stream, payload), reason)) in FATAL.into_iter().enumerate() {
        let is_ours = kind == kind::HEADERS && stream == 3;
        let mut world = world_with_calls();
        world.lane(0).raw(kind, flags, stream, payload);
        world.lane_speaks(0);
        let failed = world.events.iter().find_map(|event| match event {
            Event::LaneFailed(0, error) => Some(error.reason),
            _ => None,
        });
        // HEADERS of a stream that is over may be late here. Of one that nobody has opened they are not looked at.
        let is_unknown = kind == kind::HEADERS && stream == 5;
        let reason = if is_unknown { Reason::PROTOCOL_ERROR } else { reason };
        let expected = if is_ours { None } else { Some(reason) };
        assert_eq!(failed, expected, "{index}");
        assert_eq!(world.events.contains(&Event::Lost(1)), !is_ours, "{index}");
        if !is_ours {
            world.lane_hears(0);
            assert!(matches!(world.lanes[&0].got.last(), Some(Got::Goaway(0, _))), "{index}");
            world.end_lane(0, None);
            world.switch.reset(1, Reason::INTERNAL_ERROR);
            world.on_events();
            world.assert_empty();
        }
    }
    for (index, ((kind, flags, stream, payload), reason)) in OF_STREAM.into_iter().enumerate() {
        if kind == kind::HEADERS || payload.len() == 5 {
            continue;
        }
        let mut world = world_with_calls();
        world.lane(0).raw(kind, flags, stream, payload);
        world.pump();
        assert_eq!(world.reset_of(1), Some(Reason::INTERNAL_ERROR), "{index}");
        assert_eq!(world.lanes[&0].streams[&1].reset, Some(reason), "{index}");
        assert_eq!(world.ended_by(1), Some(How::UpstreamBreach(reason)), "{index}");
        world.assert_empty();
    }
}

#[test]
fn connections_begin_as_they_should() {
    let settings: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    let ping: &[u8] = b"\0\0\x08\x06\0\0\0\0\0abcdefgh";
    let ack: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";
    let large: &[u8] = b"\0\x40\x01\0\0\0\0\0\x01";
    let between = [settings, b"\0\0\x01\x01\0\0\0\0\x01\x82", ping].concat();
    for (bytes, fine) in [
        (settings, true),
        (ping, false),
        (ack, false),
        (&[settings, large].concat()[..], false),
        (&between, false),
    ] {
        let mut switch: Switch<(), Unguarded> = Switch::new(Limits { max_calls: 9 }, Unguarded);
        switch.client_came(Bytes::from_static(PREFACE));
        switch.client_came(Bytes::copy_from_slice(bytes));
        assert_eq!(switch.next_of_client().is_ok(), fine, "{bytes:?}");
        let lane = switch.open_lane(9, Unguarded);
        switch.lane_came(lane, Bytes::copy_from_slice(bytes));
        let first = switch.next_of_lane(lane);
        let failed = matches!(first, Some(Event::LaneFailed(..)))
            || matches!(switch.next_of_lane(lane), Some(Event::LaneFailed(..)));
        assert_eq!(failed, !fine, "{bytes:?}");
    }
    let mut switch: Switch<(), Unguarded> = Switch::new(Limits { max_calls: 9 }, Unguarded);
    switch.client_came(Bytes::from_static(b"GET"));
    assert!(switch.next_of_client().is_err());
}

#[test]
fn malformed_answers_end_their_streams() {
    let bad: [&[(&str, &str)]; 4] = [
        &[(":status", "101")],
        &[("x", "y")],
        &[(":status", "200"), ("Upper", "x")],
        &[(":status", "200"), ("connection", "close")],
    ];
    for head in bad {
        let mut world = World::plain();
        let call = world.call(0, false);
        world.pump();
        world.answer(call, 0, head, false);
        world.pump();
        assert_eq!(world.reset_of(call), Some(Reason::INTERNAL_ERROR));
        assert_eq!(world.lanes[&0].streams[&1].reset, Some(Reason::PROTOCOL_ERROR));
        world.assert_empty();
    }
    // DATA before the head, and after the end.
    let mut world = World::plain();
    let calls = [world.call(0, false), world.call(0, false)];
    world.pump();
    world.lane(0).data(1, 5, false);
    world.answer(calls[1], 0, &OK, true);
    world.lane(0).raw(kind::DATA, 0, 3, b"x");
    world.pump();
    assert_eq!(world.reset_of(calls[0]), Some(Reason::INTERNAL_ERROR));
    assert_eq!(world.lanes[&0].streams[&3].reset, Some(Reason::STREAM_CLOSED));
    assert_eq!(world.ended_by(calls[1]), Some(How::Complete));
    world.assert_empty();
}

#[test]
fn lengths_are_checked() {
    for (said, sent, fine) in [("5", 5, true), ("5", 4, false), ("5", 6, false), ("0", 0, true)] {
        let mut world = World::plain();
        let call = world.call_with(0, &[("content-length", said)], false);
        world.client.data(call, sent, true);
        world.pump();
        let breach = (!fine).then_some(Reason::PROTOCOL_ERROR);
        assert_eq!(world.reset_of(call), breach, "{said} {sent}");
        if !fine {
            world.assert_empty();
            continue;
        }
        world.answer(call, 0, &[(":status", "200"), ("content-length", "5")], false);
        world.lane(0).data(1, if said == "0" { 4 } else { 5 }, true);
        world.pump();
        assert_eq!(world.reset_of(call).is_some(), said == "0");
        world.assert_empty();
    }
    // To HEAD the length is another's.
    let mut world = World::plain();
    let head = [(":method", "HEAD"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
    let call = world.client.open(&fields(&head), true);
    world.pump();
    world.lane(0).fields(1, &fields(&[(":status", "200"), ("content-length", "5")]), true);
    world.pump();
    assert!(world.client.streams[&call].ended && world.reset_of(call).is_none());
}

#[test]
fn requests_that_cannot_be_passed_on_wait_for_their_answer() {
    let mut world = World::plain();
    let malformed = world.call_with(0, &[("connection", "close")], true);
    let large = world.call_with(0, &[("x", &"0".repeat(40_000)), ("y", &"0".repeat(30_000))], true);
    world.pump();
    assert!(matches!(world.switch.unfit(malformed), Some(Unfit::Malformed(_))));
    assert!(matches!(world.switch.unfit(large), Some(Unfit::TooLarge(70_000..))));
    assert!(!world.forward(malformed, 0) && !world.forward(large, 0));
    world.switch.reset(malformed, Reason::PROTOCOL_ERROR);
    world.switch.answer(large, &fields(&[(":status", "431")]), Bytes::new());
    world.pump();
    assert_eq!(world.reset_of(malformed), Some(Reason::PROTOCOL_ERROR));
    assert!(world.client.streams[&large].ended);
    world.assert_empty();
}

#[test]
fn calls_at_once_are_bounded() {
    let mut world = World::plain();
    let calls: Vec<u32> = (0..=MAX_CALLS).map(|_| world.call(0, false)).collect();
    world.pump();
    assert_eq!(world.reset_of(calls[MAX_CALLS as usize]), Some(Reason::REFUSED_STREAM));
    assert_eq!(world.switch.calls(), MAX_CALLS as usize);
    assert_eq!(world.begun, MAX_CALLS);
}

#[test]
fn more_than_a_window_is_a_breach() {
    let mut world = World::plain();
    let call = world.call(0, false);
    world.pump();
    for _ in 0..4 {
        world.client.raw(kind::DATA, 0, call, &[0; 16_384]);
    }
    world.client_speaks();
    world.client_hears();
    assert_eq!(world.reset_of(call), Some(Reason::FLOW_CONTROL_ERROR));
    let mut world = World::new(1, &window(0), &Settings::default());
    let call = world.call(0, true);
    world.pump();
    world.answer(call, 0, &OK, false);
    for _ in 0..5 {
        world.lane(0).raw(kind::DATA, 0, 1, &[0; 13_107]);
    }
    world.lane_speaks(0);
    assert_eq!(world.switch.lanes[0].as_ref().map(|lane| lane.down_held), Some(65_535));
    world.lane(0).raw(kind::DATA, 0, 1, b"x");
    world.lane_speaks(0);
    let failed = |event: &Event<u32>| matches!(event, Event::LaneFailed(0, _));
    assert!(world.events.iter().any(failed), "beyond the connection's window");
}

#[test]
fn pings_are_answered_where_they_arrive() {
    let mut world = World::plain();
    world.client.ping(*b"12345678");
    world.lane(0).ping(*b"abcdefgh");
    world.pump();
    assert_eq!(world.client.got, [Got::Ping(*b"12345678", true)]);
    assert_eq!(world.lanes[&0].got, [Got::Ping(*b"abcdefgh", true)]);
}

#[test]
fn pings_alone_wait_until_they_are_to_be_answered() {
    let mut world = World::plain();
    let call = world.call(0, true);
    world.pump();
    world.client.got.clear();
    world.client.ping(*b"12345678");
    world.client_speaks();
    assert!(world.switch.client_output().is_empty() && world.switch.owes_only_pings());
    assert_eq!(world.switch.client_waits_for(), 17);
    world.answer(call, 0, &[(":status", "200")], false);
    world.lane_speaks(0);
    assert!(!world.switch.client_output().is_empty() && !world.switch.owes_only_pings());
    world.client_hears();
    assert!(world.client.got.contains(&Got::Ping(*b"12345678", true)), "beside the head");
}

#[test]
fn a_drain_is_heard() {
    let mut world = World::plain();
    world.switch.drain();
    world.pump();
    assert_eq!(world.events, [Event::DrainHeard]);
    let call = world.call(0, true);
    world.pump();
    world.switch.take_no_more(Reason::NO_ERROR, b"");
    let late = world.call(0, false);
    world.client.data(late, 1000, false);
    world.pump();
    assert_eq!((world.begun, world.error), (1, None));
    world.client.raw(kind::PING, 0, 0, b"");
    world.pump();
    let goaways = world.client.got.iter().filter_map(|got| match got {
        Got::Goaway(last, _) => Some(*last),
        _ => None,
    });
    assert_eq!(goaways.collect::<Vec<_>>(), [u32::MAX >> 1, call, call]);
}

//! Heads, bodies and trailers pass as they should.

use http2::error::Reason;
use http2::fields::{Fields, Indexing};
use http2::frame::kind;
use http2::settings::Settings;

use super::end::{Got, content, fields};
use super::world::{FINE, OK, World, text, window};
use crate::How;

#[test]
fn a_unary_call_passes_and_causes_no_windows() {
    let mut world = World::plain();
    let call = world.call(0, false);
    world.client.data(call, 100, true);
    world.pump();
    let upstream = &world.lanes[&0];
    assert_eq!((upstream.streams[&1].came, upstream.streams[&1].ended), (100, true));
    world.answer(call, 0, &OK, false);
    world.lane(0).data(1, 200, false);
    world.answer(call, 0, &FINE, true);
    world.pump();
    let stream = &world.client.streams[&call];
    assert_eq!(text(&stream.heads[0]), [":status=200", "content-type=application/grpc"]);
    assert_eq!(stream.trailers.as_ref().map(text), Some(vec!["grpc-status=0".to_owned()]));
    assert_eq!((stream.came, stream.ended, stream.reset), (200, true, None));
    let end = world.ended[&call];
    assert_eq!((end.how, end.status, end.grpc_status), (How::Complete, 200, Some(0)));
    assert_eq!(end.bytes, (100, 200));
    let is_window = |got: &&Got| matches!(got, Got::Window(..));
    assert_eq!(world.client.got.iter().find(is_window), None);
    assert_eq!(world.lanes[&0].got.iter().find(is_window), None);
    world.assert_empty();
}

#[test]
fn a_trailers_only_answer_stays_one() {
    let mut world = World::plain();
    let call = world.call(0, true);
    world.pump();
    world.answer(call, 0, &[&OK[..], &[("grpc-status", "5")]].concat(), true);
    world.pump();
    assert_eq!(world.client.got, [Got::Head(call), Got::End(call)]);
    assert_eq!(world.ended[&call].grpc_status, Some(5));
    world.assert_empty();
}

#[test]
fn what_is_of_the_hub_is_taken_off() {
    let mut world = World::plain();
    let hub = [("hub-a", "1"), ("x", "y"), ("hub-reason", "z")];
    let call = world.call_with(0, &hub, false);
    world.client.data(call, 10, false);
    world.client.fields(call, &fields(&hub), true);
    world.pump();
    let upstream = &world.lanes[&0].streams[&1];
    assert_eq!(text(&upstream.heads[0])[4..], ["call=1", "lane=0", "x=y"]);
    assert_eq!(upstream.trailers.as_ref().map(text), Some(vec!["x=y".to_owned()]));
    world.answer(call, 0, &[&[(":status", "103")], &hub[..]].concat(), false);
    world.answer(call, 0, &[&[(":status", "200")], &hub[..]].concat(), false);
    world.answer(call, 0, &hub, true);
    world.pump();
    let stream = &world.client.streams[&call];
    assert_eq!(text(&stream.heads[0]), [":status=103", "x=y"]);
    assert_eq!(text(&stream.heads[1]), [":status=200", "x=y"]);
    assert_eq!(stream.trailers.as_ref().map(text), Some(vec!["x=y".to_owned()]));
    world.assert_empty();
}

/// `x: a`, `y: b`, `z: c`, as a sender wrote them.
fn mixed(mut fields: Fields) -> Fields {
    fields.push(b"x", b"a", Indexing::Never);
    fields.push(b"y", b"b", Indexing::Without);
    fields.push(b"z", b"c", Indexing::Incremental);
    fields
}

fn choices(fields: &Fields) -> Vec<(Vec<u8>, Indexing)> {
    let own = fields.iter().filter(|field| field.name.len() == 1);
    own.map(|field| (field.name.to_vec(), field.indexing)).collect()
}

#[test]
fn the_senders_choice_of_indexing_passes() {
    let mut world = World::plain();
    let head = [(":method", "POST"), (":scheme", "http"), (":path", "/"), ("call", "1")];
    let call = world.client.open(&mixed(fields(&head)), false);
    world.client.data(call, 10, false);
    world.client.fields(call, &mixed(Fields::new()), true);
    world.pump();
    let expected = choices(&mixed(Fields::new()));
    let upstream = &world.lanes[&0].streams[&1];
    assert_eq!(choices(&upstream.heads[0]), expected);
    assert_eq!(upstream.trailers.as_ref().map(choices), Some(expected.clone()));
    world.lane(0).fields(1, &mixed(fields(&[(":status", "200")])), false);
    world.lane(0).fields(1, &mixed(Fields::new()), true);
    world.pump();
    let stream = &world.client.streams[&call];
    assert_eq!(choices(&stream.heads[0]), expected);
    assert_eq!(stream.trailers.as_ref().map(choices), Some(expected));
}

#[test]
fn it_passes_with_trailers_that_wait_too() {
    let mut world = World::new(1, &window(0), &window(0));
    let call = world.call(0, false);
    world.client.data(call, 10, false);
    world.client.fields(call, &mixed(Fields::new()), true);
    world.pump();
    world.answer(call, 0, &OK, false);
    assert_eq!(world.lane(0).data(1, 10, false), 0);
    world.lane(0).raw(kind::DATA, 0, 1, &content(call, false, 0, 10));
    world.lane(0).fields(1, &mixed(Fields::new()), true);
    world.pump();
    assert!(world.client.streams[&call].trailers.is_none());
    world.client.grant(call, 10);
    world.lane(0).grant(1, 10);
    world.pump();
    let expected = choices(&mixed(Fields::new()));
    for stream in [&world.client.streams[&call], &world.lanes[&0].streams[&1]] {
        assert_eq!(stream.trailers.as_ref().map(choices), Some(expected.clone()));
    }
}

#[test]
fn a_client_that_changes_its_table_hears_of_it() {
    let mut world = World::plain();
    let updates: [(_, &[u8]); 4] =
        [(Some(0), b"\x20"), (Some(100), b"\x3f\x45"), (Some(4096), b"\x3f\xe1\x1f"), (None, b"")];
    for (size, update) in updates {
        let table = Settings {
            header_table_size: size,
            least_header_table_size: size,
            ..Settings::default()
        };
        world.client.settings(&table);
        let call = world.call(0, true);
        world.pump();
        world.answer(call, 0, &[(":status", "200"), ("some-name", "some-value")], true);
        world.pump();
        let head = &world.client.streams[&call].heads[0];
        assert_eq!(head.get(b"some-name"), Some(&b"some-value"[..]));
        // RFC 7541 4.2: the first block after it begins with the size. What follows is `:status: 200`.
        let begin = [update, b"\x88"].concat();
        assert_eq!(world.client.block_seen[..begin.len()], begin);
    }
}

#[test]
fn interim_answers_pass_up_to_a_bound() {
    let mut world = World::plain();
    for count in [16, 17] {
        let call = world.call(0, true);
        world.pump();
        for _ in 0..count {
            world.answer(call, 0, &[(":status", "103"), ("link", "x")], false);
        }
        if count == 16 {
            world.answer(call, 0, &OK, true);
        }
        world.pump();
        if count == 17 {
            assert_eq!(world.client.streams[&call].heads.len(), 16);
            assert_eq!(world.reset_of(call), Some(Reason::INTERNAL_ERROR));
            assert_eq!(world.lanes[&0].streams[&3].reset, Some(Reason::ENHANCE_YOUR_CALM));
        } else {
            assert_eq!(world.client.streams[&call].heads.len(), 17);
        }
    }
    world.assert_empty();
}

#[test]
fn frames_in_pieces_of_a_byte_pass() {
    let mut world = World::plain();
    world.chunk = 1;
    let long = "v".repeat(20_000);
    let call = world.call_with(0, &[("long", &long)], false);
    world.client.data(call, 3000, false);
    world.client.fields(call, &fields(&[("t", "1")]), true);
    world.pump();
    world.answer(call, 0, &[(":status", "200"), ("long", &long)], false);
    world.lane(0).data(1, 3000, true);
    world.pump();
    assert_eq!(world.client.streams[&call].came, 3000);
    assert_eq!(world.client.streams[&call].heads[0].get(b"long"), Some(long.as_bytes()));
    world.assert_empty();
}

//! So many unary calls through a switch, one after the other: what a call takes of a processor, counted by
//! `scripts/bench/cost`. Nothing here waits or depends on time, so that it takes as many instructions each time.
//!
//! ```text
//! calls COUNT
//! ```

use std::error::Error;
use std::io::IoSlice;

use bytes::Bytes;
use http2::fields::{Field, Indexing};
use http2::frame::{self, PREFACE};
use http2::hpack::Encoder;
use http2::output::Output;
use http2::settings::Settings;
use switch::{Event, LaneId, Limits, Rewrite, Switch, Unguarded};

const REQUEST: &[(&str, &str)] = &[
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/bench.Bench/Echo"),
    (":authority", "hub.example:8080"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
    ("user-agent", "grpc-go/1.80.0"),
    ("name", "testserver"),
];
/// What a client with a deadline says anew with each call.
const TIMEOUT: &str = "grpc-timeout";
const ANSWER: &[(&str, &str)] = &[(":status", "200"), ("content-type", "application/grpc")];
const TRAILERS: &[(&str, &str)] = &[("grpc-status", "0")];
const MESSAGE: &[u8] = &[0; 64];
const REWRITE: Rewrite<'_> =
    Rewrite { scheme: b"http", authority: None, otherwise: b"name", is_ours: false };

/// A client and an upstream that say what they always say, and do not listen.
struct Ends {
    switch: Switch<(), Unguarded>,
    lane: LaneId,
    client: Encoder,
    upstream: Encoder,
}

fn main() -> Result<(), Box<dyn Error>> {
    let count: u32 = std::env::args().nth(1).ok_or("how many calls?")?.parse()?;
    let mut ends = Ends::meet()?;
    for number in 0..count {
        ends.call(2 * number + 1)?;
    }
    Ok(())
}

impl Ends {
    /// Both have greeted, and may send without end.
    fn meet() -> Result<Self, Box<dyn Error>> {
        let mut switch = Switch::new(Limits { max_calls: 100 }, Unguarded);
        let lane = switch.open_lane(100, Unguarded);
        let mut ends = Self { switch, lane, client: Encoder::new(), upstream: Encoder::new() };
        let mut hello = Output::new();
        hello.extend(PREFACE);
        greet(&mut hello);
        ends.client_says(&hello)?;
        let mut hello = Output::new();
        greet(&mut hello);
        ends.upstream_says(&hello);
        Ok(ends)
    }

    fn call(&mut self, stream: u32) -> Result<(), Box<dyn Error>> {
        let mut said = Output::new();
        let mut block = block(&mut self.client, REQUEST);
        let timeout = format!("{}u", 5_000_000 + stream);
        field(&mut self.client, (TIMEOUT, &timeout), Indexing::Without, &mut block);
        frame::write_headers(&mut said, stream, &block, false);
        frame::write_data(&mut said, stream, Bytes::from_static(MESSAGE), true);
        if self.client_says(&said)? != 1 {
            return Err("no call has begun".into());
        }
        let mut said = Output::new();
        let head = self::block(&mut self.upstream, ANSWER);
        frame::write_headers(&mut said, stream, &head, false);
        frame::write_data(&mut said, stream, Bytes::from_static(MESSAGE), false);
        let trailers = self::block(&mut self.upstream, TRAILERS);
        frame::write_headers(&mut said, stream, &trailers, true);
        if self.upstream_says(&said) != 1 {
            return Err("no call has ended".into());
        }
        Ok(())
    }

    /// How many calls begin with it.
    fn client_says(&mut self, said: &Output) -> Result<usize, Box<dyn Error>> {
        self.switch.client_came(whole(said));
        let mut begun = 0;
        while let Some(event) = self.switch.next_of_client().map_err(|error| error.to_string())? {
            if let Event::Call(call) = event {
                begun += usize::from(self.switch.forward(call, self.lane, &REWRITE));
            }
        }
        self.switch.write_lane(self.lane, Output::clear);
        Ok(begun)
    }

    /// How many calls end with it.
    fn upstream_says(&mut self, said: &Output) -> usize {
        self.switch.lane_came(self.lane, whole(said));
        let mut ended = 0;
        while let Some(event) =
            self.switch.next_of_lane(self.lane).or_else(|| self.switch.next_event())
        {
            ended += usize::from(matches!(event, Event::Ended { .. }));
        }
        let output = self.switch.client_output();
        output.advance(output.len());
        ended
    }
}

fn greet(out: &mut Output) {
    Settings::default().write(out);
    frame::write_window_update(out, 0, 1 << 30);
    frame::write_settings_ack(out);
}

fn block(encoder: &mut Encoder, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.begin(&mut block);
    fields.iter().for_each(|said| field(encoder, *said, Indexing::Incremental, &mut block));
    block
}

fn field(encoder: &mut Encoder, said: (&str, &str), indexing: Indexing, block: &mut Vec<u8>) {
    let (name, value) = (said.0.as_bytes(), said.1.as_bytes());
    encoder.field(Field { name, value, indexing }, block);
}

fn whole(said: &Output) -> Bytes {
    let mut slices = [IoSlice::new(&[]); 8];
    let count = said.slices(&mut slices);
    slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect()
}

//! What an end hears, and what it takes as a breach.

use bytes::Bytes;
use http2::block::WholeBlock;
use http2::fields::Fields;
use http2::frame::{self, Goaway, Head, flag, kind};
use http2::settings::Settings;

use super::end::{End, Got, Returns, content};
use crate::window::WINDOW_MAX;

impl End {
    pub(crate) fn came(&mut self, bytes: Bytes) {
        self.input.push(bytes);
        if !self.is_client && self.last == u32::MAX {
            if !self.input.preface().expect("a preface") {
                return;
            }
            self.last = 0;
        }
        while let Some(head) = self.input.next_frame().expect("a frame") {
            head.check().expect("a good frame");
            self.block.check(head).expect("no frame between");
            let payload = self.input.payload(head.len);
            self.frame(head, payload);
        }
    }

    fn frame(&mut self, head: Head, payload: Bytes) {
        let id = head.stream;
        match head.kind {
            kind::DATA => self.on_data(head, &payload),
            kind::HEADERS => {
                let block = self.block.begin(head, payload).expect("a block");
                block.into_iter().for_each(|block| self.on_block(&block));
            }
            kind::CONTINUATION => {
                let block = self.block.go_on(head, payload).expect("a block");
                block.into_iter().for_each(|block| self.on_block(&block));
            }
            kind::RST_STREAM => {
                let reason = frame::reason(&payload).expect("a reason");
                let stream = self.stream(id);
                assert_eq!(stream.reset, None, "{id}: reset twice");
                stream.reset = Some(reason);
                self.got.push(Got::Reset(id, reason));
            }
            kind::WINDOW_UPDATE => self.on_window(id, frame::increment(&payload).expect("one")),
            kind::SETTINGS => self.on_settings(head, &payload),
            kind::PING => {
                let payload = payload[..].try_into().expect("8 bytes");
                self.got.push(Got::Ping(payload, head.has(flag::ACK)));
                if !head.has(flag::ACK) {
                    frame::write_ping_ack(&mut self.output, payload);
                }
            }
            kind::GOAWAY => {
                let goaway = Goaway::parse(payload).expect("a goaway");
                self.got.push(Got::Goaway(goaway.last_stream, goaway.reason));
            }
            other => panic!("a frame of kind {other}"),
        }
    }

    fn on_data(&mut self, head: Head, payload: &[u8]) {
        assert!(!head.has(flag::PADDED), "the switch does not pad");
        let (id, len, tag) = (head.stream, payload.len(), self.tag(head.stream));
        self.recv -= len as i64;
        assert!(self.recv >= 0, "more than the connection's window");
        match self.returns {
            Returns::OnReceipt => self.grant(0, len as u32),
            _ => self.unread += len as u32,
        }
        let direction = !self.is_client;
        let stream = self.stream(id);
        assert!(!stream.ended && stream.reset.is_none(), "{id}: DATA after the end");
        stream.recv -= len as i64;
        assert!(
            len == 0 || stream.recv >= 0,
            "{id}: more than its window, up {direction}: {stream:?}"
        );
        let is_right = payload == content(tag, direction, stream.came, len);
        assert!(is_right, "{id}: other bytes than were sent");
        stream.came += len as u64;
        stream.unread += len as u32;
        stream.ended = head.has(flag::END_STREAM);
        self.got.push(Got::Data(id, len));
        if head.has(flag::END_STREAM) {
            self.got.push(Got::End(id));
        }
    }

    fn on_block(&mut self, block: &WholeBlock) {
        let (id, mut fields) = (block.stream, Fields::new());
        self.decoder.decode(&block.fragment, &mut fields, 1 << 20).expect("a block");
        if !self.is_client && !self.streams.contains_key(&id) {
            let due = if self.last == 0 { 1 } else { self.last + 2 };
            assert_eq!(id, due, "the next stream");
            self.last = id;
            let mut stream = self.new_stream();
            stream.has_reset = id > self.last_seen;
            self.streams.insert(id, stream);
        }
        self.block_seen = block.fragment.clone();
        let stream = self.stream(id);
        assert!(!stream.ended && stream.reset.is_none(), "{id}: HEADERS after the end");
        let is_final = |head: &Fields| head.get(b":status").is_none_or(|status| status[0] != b'1');
        if stream.heads.last().is_some_and(is_final) {
            assert!(block.end_stream, "{id}: trailers that are not the end");
            stream.trailers = Some(fields);
        } else {
            stream.heads.push(fields);
            self.got.push(Got::Head(id));
        }
        self.stream(id).ended = block.end_stream;
        if block.end_stream {
            self.got.push(Got::End(id));
        }
    }

    fn on_window(&mut self, id: u32, increment: u32) {
        assert_ne!(increment, 0);
        self.got.push(Got::Window(id, increment));
        if id == 0 {
            self.send += i64::from(increment);
            assert!(self.send <= WINDOW_MAX);
            return;
        }
        let stream = self.stream(id);
        stream.send += i64::from(increment);
        stream.granted += i64::from(increment);
        assert!(stream.send <= WINDOW_MAX, "{id}: a window beyond 2^31-1");
    }

    fn on_settings(&mut self, head: Head, payload: &[u8]) {
        if head.has(flag::ACK) {
            self.got.push(Got::Ack);
            let delta = self.shrinks.pop_front().expect("SETTINGS that it can be for");
            return self.widen_all(delta);
        }
        let settings = Settings::parse(payload).expect("settings");
        self.got.push(Got::Settings(settings));
        if let Some(size) = settings.header_table_size {
            self.encoder.set_max_size(size);
        }
        if let Some(window) = settings.initial_window_size {
            let delta = i64::from(window) - self.send_first;
            self.send_first += delta;
            for stream in self.streams.values_mut() {
                stream.send += delta;
                stream.granted += delta;
            }
        }
        if self.acknowledges {
            frame::write_settings_ack(&mut self.output);
        }
    }
}

//! What a peer hears, by stream, and the rules that it holds it against.

use std::fmt;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::super::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, RST_STREAM,
    SETTINGS, WINDOW_UPDATE,
};
use super::super::hpack::{Headers, decode};
use super::{Broken, DEFAULT_FRAME, INITIAL_WINDOW_SIZE, Peer};

/// What was heard on one stream.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) informational: Vec<Headers>,
    pub(crate) head: Option<Headers>,
    /// END_STREAM came with the head.
    pub(crate) head_only: bool,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<Headers>,
    /// END_STREAM has come.
    pub(crate) ended: bool,
    pub(crate) reset: Option<u32>,
    /// Bytes of DATA that the hub may still send.
    pub(crate) room: i64,
    /// Bytes of DATA that may still be sent to the hub.
    pub(crate) allowance: i64,
    /// What that was when the hub granted the last of it.
    pub(crate) told: i64,
}

#[derive(Debug)]
pub(super) struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Peer {
    /// Keeps what a frame says.
    pub(super) async fn note(&mut self, frame: Frame) -> Result<(), Broken> {
        let Frame { kind, flags, stream, payload } = frame;
        if self.block.is_some() != (kind == CONTINUATION) {
            return Err(format!("a frame of kind {kind} where CONTINUATION has its place"));
        }
        if payload.len() > DEFAULT_FRAME {
            return Err(format!("a frame of {} bytes", payload.len()));
        }
        let word = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match kind {
            HEADERS if flags & PADDED != 0 => return Err("padding".into()),
            HEADERS => self.block = Some((stream, flags, Vec::new())),
            DATA => return self.note_data(stream, flags, &payload),
            RST_STREAM => return self.note_reset(stream, word(0)),
            WINDOW_UPDATE if stream == 0 => self.allowance += i64::from(word(0)),
            WINDOW_UPDATE => {
                let heard = self.known(stream);
                heard.allowance += i64::from(word(0));
                heard.told = heard.allowance;
            }
            SETTINGS if flags & ACK != 0 => {
                let (by, youngest) = self.unacknowledged.remove(0);
                self.widen(by, youngest);
            }
            SETTINGS => {
                self.note_settings(&payload);
                self.send(SETTINGS, ACK, 0, &[]);
                self.flush().await;
            }
            PING if flags & ACK != 0 => self.pongs += 1,
            GOAWAY => self.gone_away = Some((word(0), word(4))),
            _ => {}
        }
        if let Some((stream, head_flags, mut block)) = self.block.take() {
            block.extend(payload);
            if flags & END_HEADERS == 0 {
                self.block = Some((stream, head_flags, block));
            } else {
                self.note_headers(stream, head_flags, decode(&block))?;
            }
        }
        Ok(())
    }

    fn note_settings(&mut self, mut payload: &[u8]) {
        while let [a, b, c, d, e, f, rest @ ..] = payload {
            if u16::from_be_bytes([*a, *b]) == INITIAL_WINDOW_SIZE {
                let window = u32::from_be_bytes([*c, *d, *e, *f]).into();
                let by = window - std::mem::replace(&mut self.hub_window, window);
                // Open streams change with it (RFC 9113 6.9.2).
                for heard in self.streams.values_mut() {
                    heard.allowance += by;
                    heard.told += by;
                }
            }
            payload = rest;
        }
    }

    fn note_data(&mut self, stream: u32, flags: u8, payload: &[u8]) -> Result<(), Broken> {
        self.room -= payload.len() as i64;
        if self.room < 0 {
            return Err("more than the connection's window".into());
        }
        let heard = self.known(stream);
        heard.room -= payload.len() as i64;
        if heard.room < 0 && !payload.is_empty() {
            return Err(format!("more than the window of stream {stream}"));
        }
        if heard.head.is_none() || heard.ended || heard.reset.is_some() {
            return Err(format!("DATA at the wrong time on stream {stream}: {heard:?}"));
        }
        heard.body.extend_from_slice(payload);
        heard.ended = flags & END_STREAM != 0;
        Ok(())
    }

    fn note_reset(&mut self, stream: u32, code: u32) -> Result<(), Broken> {
        match self.known(stream).reset.replace(code) {
            None => Ok(()),
            Some(before) => Err(format!("stream {stream} reset twice: {before}, {code}")),
        }
    }

    fn note_headers(&mut self, stream: u32, flags: u8, headers: Headers) -> Result<(), Broken> {
        let heard = self.known(stream);
        let end = flags & END_STREAM != 0;
        if heard.ended || heard.reset.is_some() {
            return Err(format!("HEADERS at the wrong time on stream {stream}: {headers:?}"));
        }
        let is_informational =
            headers.iter().any(|(name, value)| name == ":status" && value.starts_with('1'));
        match &heard.head {
            None if is_informational => heard.informational.push(headers),
            None => (heard.head, heard.head_only) = (Some(headers), end),
            Some(_) if !end => return Err(format!("a second head on stream {stream}")),
            Some(_) => heard.trailers = Some(headers),
        }
        heard.ended = end;
        Ok(())
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { head, head_only, body, trailers, ended, reset, room, allowance, .. } = self;
        let bytes = body.len();
        write!(f, "head {head:?} only {head_only}, {bytes} bytes, trailers {trailers:?}, ")?;
        write!(f, "ended {ended}, reset {reset:?}, room {room}, allowance {allowance}")
    }
}

pub(super) async fn read(reader: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Frame> {
    let mut head = [0; 9];
    reader.read_exact(&mut head).await?;
    let [a, b, c, kind, flags, stream @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    reader.read_exact(&mut payload).await?;
    Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
}

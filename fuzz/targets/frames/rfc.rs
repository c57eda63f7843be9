//! What bytes mean, straight from RFC 9113, for who has all of them in one piece.

use http2::settings::Settings;

use crate::Seen;

/// Codes (7).
const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const FRAME_SIZE: u32 = 6;
const CALM: u32 = 11;

/// The most bytes of a block, and CONTINUATIONs, that are read.
pub const BLOCK_MAX: usize = 20_000;
const CONTINUATIONS_MAX: usize = 32;

/// A header block that is not whole: stream, END_STREAM, bytes, frames.
type Open = Option<(u32, bool, Vec<u8>, usize)>;

/// Reads all whole frames up to the first fault of the connection.
pub fn meaning(mut bytes: &[u8]) -> Vec<Seen> {
    let (mut seen, mut open) = (Vec::new(), None);
    while let [a, b, c, kind, flags, s, t, u, v, rest @ ..] = bytes {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if length > 16_384 {
            seen.push(Seen::Failed(FRAME_SIZE));
            break;
        }
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        bytes = rest;
        let stream = u32::from_be_bytes([s & 0x7f, *t, *u, *v]);
        seen.push(Seen::Frame(*kind, *flags, stream, payload.to_vec()));
        match frame(*kind, *flags, stream, payload, &mut open) {
            Ok(meant) => seen.extend(meant),
            Err(code) => {
                seen.push(Seen::Failed(code));
                break;
            }
        }
    }
    seen
}

/// What one frame means, if it is not nothing; a code where the connection must end.
fn frame(
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &[u8],
    open: &mut Open,
) -> Result<Option<Seen>, u32> {
    if open.as_ref().is_some_and(|(of, ..)| kind != 9 || stream != *of) {
        return Err(PROTOCOL);
    }
    if kind == 9 && open.is_none() {
        return Err(PROTOCOL);
    }
    let of_stream = matches!(kind, 0..=3 | 5 | 9);
    let of_connection = matches!(kind, 4 | 6 | 7);
    if of_stream && stream == 0 || of_connection && stream != 0 {
        return Err(PROTOCOL);
    }
    let has = |flag: u8| flags & flag != 0;
    let number = || payload.try_into().map(u32::from_be_bytes).map_err(|_| FRAME_SIZE);
    Ok(Some(match kind {
        0 => Seen::Data(inside(has(8), false, payload)?.to_vec()),
        1 => return headers(flags, stream, inside(has(8), has(0x20), payload)?, open),
        2 if payload.len() != 5 => Seen::Broken(FRAME_SIZE),
        3 => Seen::Number(number()?),
        4 if has(1) && !payload.is_empty() => return Err(FRAME_SIZE),
        4 => Seen::Settings(settings(payload)?),
        5 if payload.len() < 4 => return Err(FRAME_SIZE),
        6 if payload.len() != 8 => return Err(FRAME_SIZE),
        7 => {
            let (last, rest) = payload.split_first_chunk().ok_or(FRAME_SIZE)?;
            let (code, words) = rest.split_first_chunk().ok_or(FRAME_SIZE)?;
            let last = u32::from_be_bytes(*last) & 0x7fff_ffff;
            Seen::Goaway(last, u32::from_be_bytes(*code), words.to_vec())
        }
        8 => Seen::Number(number()? & 0x7fff_ffff),
        9 => return go_on(flags, payload, open),
        _ => return Ok(None),
    }))
}

/// What is between padding and priority (6.1, 6.2).
fn inside(padded: bool, priority: bool, mut payload: &[u8]) -> Result<&[u8], u32> {
    let mut padding = 0;
    if padded {
        let (length, rest) = payload.split_first().ok_or(FRAME_SIZE)?;
        (padding, payload) = (usize::from(*length), rest);
    }
    if priority {
        payload = payload.get(5..).ok_or(FRAME_SIZE)?;
    }
    let length = payload.len().checked_sub(padding).ok_or(PROTOCOL)?;
    Ok(&payload[..length])
}

fn headers(flags: u8, stream: u32, fragment: &[u8], open: &mut Open) -> Result<Option<Seen>, u32> {
    if fragment.len() > BLOCK_MAX {
        return Err(CALM);
    }
    let (ends, fragment) = (flags & 1 != 0, fragment.to_vec());
    if flags & 4 != 0 {
        return Ok(Some(Seen::Block(stream, ends, fragment)));
    }
    *open = Some((stream, ends, fragment, 0));
    Ok(None)
}

fn go_on(flags: u8, fragment: &[u8], open: &mut Open) -> Result<Option<Seen>, u32> {
    let Some((stream, ends, mut block, frames)) = open.take() else { return Err(PROTOCOL) };
    block.extend(fragment);
    if frames == CONTINUATIONS_MAX || block.len() > BLOCK_MAX {
        return Err(CALM);
    }
    if flags & 4 != 0 {
        return Ok(Some(Seen::Block(stream, ends, block)));
    }
    *open = Some((stream, ends, block, frames + 1));
    Ok(None)
}

/// Values in their order: the last counts (6.5.2).
fn settings(payload: &[u8]) -> Result<Settings, u32> {
    if payload.len() % 6 != 0 {
        return Err(FRAME_SIZE);
    }
    let mut all = Settings::default();
    for setting in payload.chunks(6) {
        let id = u16::from_be_bytes([setting[0], setting[1]]);
        let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
        match id {
            1 => {
                let least = all.least_header_table_size.unwrap_or(value).min(value);
                all.least_header_table_size = Some(least);
                all.header_table_size = Some(value);
            }
            2 | 8 if value > 1 => return Err(PROTOCOL),
            2 => all.enable_push = Some(value),
            3 => all.max_concurrent_streams = Some(value),
            4 if value > 0x7fff_ffff => return Err(FLOW_CONTROL),
            4 => all.initial_window_size = Some(value),
            5 if !(16_384..=16_777_215).contains(&value) => return Err(PROTOCOL),
            5 => all.max_frame_size = Some(value),
            6 => all.max_header_list_size = Some(value),
            8 => all.enable_connect_protocol = Some(value),
            _ => {}
        }
    }
    Ok(all)
}

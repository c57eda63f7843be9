//! Whether an answer is what was asked for.

use bench::message::{HEAD, head};
use h2::RecvStream;
use http::{HeaderMap, Response, StatusCode};
use tunnel::bridge::grpc_status;
use tunnel::wire::HUB_REASON;

/// Counts the messages of an answer as their bytes come.
pub(crate) struct Messages {
    /// What each begins with.
    expected: [u8; HEAD],
    head: [u8; HEAD],
    /// Bytes of `head` that have come.
    read: usize,
    length: usize,
    /// Bytes of this message that have not.
    left: usize,
    /// Whole messages.
    pub(crate) count: u32,
}

impl Messages {
    /// Of so many bytes each.
    pub(crate) fn of(length: u32) -> Self {
        let expected = head(length);
        Self { expected, head: [0; HEAD], read: 0, length: length as usize, left: 0, count: 0 }
    }

    /// Takes bytes in; fails at a message that is compressed or of another length.
    pub(crate) fn add(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            if self.read < HEAD {
                let (more, rest) = bytes.split_at(bytes.len().min(HEAD - self.read));
                self.head[self.read..][..more.len()].copy_from_slice(more);
                self.read += more.len();
                bytes = rest;
                self.begin()?;
            } else {
                let taken = self.left.min(bytes.len());
                self.left -= taken;
                bytes = &bytes[taken..];
            }
            if self.read == HEAD && self.left == 0 {
                self.count += 1;
                self.read = 0;
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), String> {
        if self.read < HEAD {
            return Ok(());
        }
        if self.head != self.expected {
            return Err(format!("a message begins with {:?}, not {:?}", self.head, self.expected));
        }
        self.left = self.length;
        Ok(())
    }

    /// Fails unless so many have come, and nothing else.
    pub(crate) fn end(&self, expected: u32) -> Result<(), String> {
        if self.read > 0 {
            return Err("the last message was cut off".to_owned());
        }
        if self.count != expected {
            return Err(format!("{} messages came, not {expected}", self.count));
        }
        Ok(())
    }
}

/// Returns the body of an answer whose head is good.
pub(crate) fn body(response: Response<RecvStream>) -> Result<RecvStream, String> {
    begun(response.status(), response.headers())?;
    Ok(response.into_body())
}

fn begun(status: StatusCode, headers: &HeaderMap) -> Result<(), String> {
    if status != StatusCode::OK {
        return Err(format!("HTTP {}", status.as_u16()));
    }
    match (grpc_status(headers), headers.get(HUB_REASON)) {
        (None | Some(0), None) => Ok(()),
        (status, None) => Err(format!("grpc-status {}", status.unwrap_or_default())),
        (_, Some(reason)) => {
            Err(format!("refused: {}", String::from_utf8_lossy(reason.as_bytes())))
        }
    }
}

/// Fails unless the trailers say that all is well.
pub(crate) fn ended(trailers: Option<&HeaderMap>) -> Result<(), String> {
    match trailers.and_then(grpc_status) {
        Some(0) => Ok(()),
        Some(status) => Err(format!("grpc-status {status}")),
        None => Err("no grpc-status".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn messages(lengths: &[u8]) -> Vec<u8> {
        let message =
            |length: &u8| [&head((*length).into())[..], &vec![1; (*length).into()]].concat();
        lengths.iter().flat_map(message).collect()
    }

    #[test]
    fn messages_are_counted_wherever_they_are_cut() {
        for length in [0, 1, 7] {
            let bytes = messages(&[length; 3]);
            for size in 1..=bytes.len() {
                let mut counted = Messages::of(length.into());
                for piece in bytes.chunks(size) {
                    counted.add(piece).unwrap();
                }
                assert_eq!(counted.end(3), Ok(()), "{length} bytes in pieces of {size}");
                assert!(counted.end(2).is_err());
            }
        }
    }

    #[test]
    fn another_length_compression_and_a_missing_end_are_failures() {
        assert!(Messages::of(7).add(&messages(&[7, 6])).is_err());
        assert!(Messages::of(1).add(&[1, 0, 0, 0, 1, 0]).is_err());
        for missing in [1, 7, 11] {
            let mut counted = Messages::of(7);
            let bytes = messages(&[7, 7]);
            counted.add(&bytes[..bytes.len() - missing]).unwrap();
            assert!(counted.end(1).is_err() && counted.end(2).is_err(), "{missing} bytes");
        }
    }

    #[test]
    fn only_200_and_grpc_status_0_are_good() {
        let status = |value| {
            HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-status"),
                HeaderValue::from_static(value),
            )])
        };
        assert_eq!(begun(StatusCode::OK, &HeaderMap::new()), Ok(()));
        assert!(begun(StatusCode::BAD_GATEWAY, &HeaderMap::new()).is_err());
        assert_eq!(begun(StatusCode::OK, &status("14")), Err("grpc-status 14".to_owned()));
        assert_eq!(ended(Some(&status("0"))), Ok(()));
        assert!(ended(Some(&status("8"))).is_err());
        assert!(ended(None).is_err());
    }
}

//! Where one message of a stream ends and the next begins: a flag, a length, and so many bytes (gRPC over HTTP/2, "Messages";
//! gRPC-Web and Connect have the same).

/// What stands in front of a message.
pub(super) const PREFIX: usize = 5;

/// How far a stream of messages has come.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Of a prefix, as far as it has come.
    prefix: Vec<u8>,
    /// Of the message behind it.
    left: usize,
}

impl Frames {
    /// So much more has come.
    pub(super) fn came(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let some = self.left.min(bytes.len());
                self.left -= some;
                bytes = &bytes[some..];
                continue;
            }
            let some = (PREFIX - self.prefix.len()).min(bytes.len());
            self.prefix.extend_from_slice(&bytes[..some]);
            bytes = &bytes[some..];
            if let Ok([_, length @ ..]) = <[u8; PREFIX]>::try_from(&self.prefix[..]) {
                self.left = u32::from_be_bytes(length) as usize;
                self.prefix.clear();
            }
        }
    }

    /// Whether all that has begun has ended: only then may something follow that is no part of a message.
    pub(super) fn are_whole(&self) -> bool {
        self.left == 0 && self.prefix.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_end_where_they_say() {
        let two = [&b"\0\0\0\0\x03abc"[..], b"\0\0\0\0\0", b"\x01\0\0\x01\x02", &[7; 258]].concat();
        for size in 1..two.len() {
            let mut frames = Frames::default();
            for (nth, piece) in two.chunks(size).enumerate() {
                frames.came(piece);
                let at = (nth * size + piece.len()).min(two.len());
                assert_eq!(frames.are_whole(), [8, 13, two.len()].contains(&at), "{size} {at}");
            }
        }
    }
}

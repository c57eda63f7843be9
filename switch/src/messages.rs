//! How many messages one direction of a call has: counted, not read.

/// Of each message's prefix: whether it is compressed, and its length in 32 bits (gRPC over HTTP/2, "Length-Prefixed-Message").
const PREFIX: usize = 5;

/// Counts gRPC's messages by their prefixes as bytes pass, in whatever pieces. Of what is no gRPC it counts nonsense, and no
/// more than a fifth of the bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Messages {
    /// Those whose prefix has come.
    pub(crate) count: u64,
    /// What is to come of the last one.
    left: u64,
    /// Bytes of a prefix that came without the rest of it, and the length as far as they say.
    begun: usize,
    length: u32,
}

impl Messages {
    /// These bytes come next.
    pub(crate) fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left >= bytes.len() as u64 {
                self.left -= bytes.len() as u64;
                return;
            }
            bytes = &bytes[self.left as usize..];
            self.left = 0;
            match bytes.first_chunk::<PREFIX>() {
                Some([_, a, b, c, d]) if self.begun == 0 => {
                    self.counted(u32::from_be_bytes([*a, *b, *c, *d]));
                    bytes = &bytes[PREFIX..];
                }
                _ => {
                    self.see_prefix(bytes[0]);
                    bytes = &bytes[1..];
                }
            }
        }
    }

    /// The next byte of a prefix that has come in pieces.
    fn see_prefix(&mut self, byte: u8) {
        // The first one, whether it is compressed, leaves the 32 bits at the top.
        self.length = self.length << 8 | u32::from(byte);
        self.begun += 1;
        if self.begun == PREFIX {
            self.counted(self.length);
            (self.begun, self.length) = (0, 0);
        }
    }

    fn counted(&mut self, length: u32) {
        self.count += 1;
        self.left = u64::from(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(len: u32) -> Vec<u8> {
        let mut message = vec![1];
        message.extend(len.to_be_bytes());
        message.extend(std::iter::repeat_n(0xff, len as usize));
        message
    }

    #[test]
    fn messages_are_counted_in_whatever_pieces_they_come() {
        let lengths = [0, 1, 300, 0, 70_000, 4, 5, 6];
        let bytes: Vec<u8> = lengths.into_iter().flat_map(message).collect();
        for size in [1, 2, 3, 4, 5, 6, 7, 11, 299, 16_384, bytes.len()] {
            let mut messages = Messages::default();
            bytes.chunks(size).for_each(|piece| messages.see(piece));
            assert_eq!((messages.count, messages.left), (lengths.len() as u64, 0), "by {size}");
        }
    }

    #[test]
    fn one_counts_once_its_length_has_come() {
        let mut messages = Messages::default();
        for (piece, count) in [(&[0, 0, 0][..], 0), (&[0], 0), (&[2], 1), (&[7], 1), (&[7, 0], 1)] {
            messages.see(piece);
            assert_eq!(messages.count, count);
        }
    }
}

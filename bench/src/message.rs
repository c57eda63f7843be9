//! Messages as gRPC frames them.

use bytes::{BufMut as _, Bytes, BytesMut};

/// Bytes before each message.
pub const HEAD: usize = 5;

/// What a message of so many bytes begins with, uncompressed.
#[must_use]
pub const fn head(length: u32) -> [u8; HEAD] {
    let [a, b, c, d] = length.to_be_bytes();
    [0, a, b, c, d]
}

/// A message of so many zeros.
#[must_use]
pub fn zeros(length: u32) -> Bytes {
    let mut message = BytesMut::with_capacity(HEAD + length as usize);
    message.put_slice(&head(length));
    message.put_bytes(0, length as usize);
    message.freeze()
}

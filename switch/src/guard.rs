//! Who looks at the frames of a peer, and may have enough of it.

use http2::frame::Head;

/// Sees each frame of a connection before anything is done about it.
pub trait Guard {
    /// Whether enough was done for now: the rest of what has come waits until the owner asks again.
    fn is_tired(&self) -> bool {
        false
    }

    /// A frame has come, whole. Returns `false` if it is one too many: nothing more is read then.
    fn incoming(&mut self, head: Head) -> bool;

    /// A frame goes out.
    fn outgoing(&mut self, head: Head);

    /// So many bytes are promised to the peer beyond what each has at first: it may send them at once, and they may all
    /// have to be held. Returns `false` if that cannot be; then no more is promised than before.
    fn promise(&mut self, _bytes: usize) -> bool {
        true
    }

    /// The peer has broken the protocol on one stream, which was ended for it. Returns `false` as [`Self::incoming`].
    fn breach(&mut self) -> bool;
}

/// Who bears everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unguarded;

impl Guard for Unguarded {
    fn incoming(&mut self, _: Head) -> bool {
        true
    }

    fn outgoing(&mut self, _: Head) {}

    fn breach(&mut self) -> bool {
        true
    }
}

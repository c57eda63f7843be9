//! A connection's byte stream, whatever is below it.

use tokio::io::{AsyncRead, AsyncWrite};

/// Plain or TLS.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Boxed once, right after the handshake, so that all that follows is one path.
pub type BoxIo = Box<dyn Io>;

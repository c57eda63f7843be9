//! Dials a hub, as an agent does, and another hub: TCP and TLS, the WebSocket, and how long to wait before it is tried again.

mod backoff;
mod token;
mod transport;
mod upgrade;

pub use self::backoff::{Backoff, whole_millis};
pub use self::token::{TokenError, read_token};
pub use self::transport::{TlsClient, TransportError, secured, to_hub};
pub use self::upgrade::{HandshakeError, Upgraded, sentence, upgrade};

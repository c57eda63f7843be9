//! What hub and agent agree on.
//!
//! An agent opens a WebSocket to the hub ([`wire`] has its path and headers, [`registration`] what they
//! say). From then on its **binary** messages are frames of [`lanes`], byte streams on which the hub is the
//! HTTP/2 *client*; pings and pongs are keepalive ([`ws`]); **text** messages are control
//! ([`wire::Control`]). [`bridge`] serves tower services on raw `h2` streams, for whatever either end
//! answers itself. [`limits`] is the one table of limits. An agent may have several names on one session: then headers are
//! lists, and what is said of one of them says by its place in the list of which.

pub mod admin;
pub mod authority;
pub mod box_io;
pub mod bridge;
pub mod byte_size;
pub mod connect;
pub mod dial;
pub mod hub_uri;
pub mod lanes;
pub mod limits;
pub mod listen_addr;
pub mod log;
pub mod name;
pub mod once;
pub mod pieces;
pub mod program;
pub mod proxy;
pub mod registration;
pub mod service_manager;
pub mod setting;
pub mod sockets;
pub mod speaks;
pub mod tap;
pub mod tls;
pub mod token_bucket;
pub mod turn;
pub mod wire;
pub mod ws;

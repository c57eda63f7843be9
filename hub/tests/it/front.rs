//! The hub's port: who gets in, and by which protocol.

mod forwarded;
mod keepalive;
mod places;
mod proxied;
mod restart;
mod routing;
mod tls;
mod upstream_tls;

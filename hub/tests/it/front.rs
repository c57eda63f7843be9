//! The hub's port: who gets in, and by which protocol.

mod keepalive;
mod places;
mod proxied;
mod restart;
mod tls;
mod upstream_tls;

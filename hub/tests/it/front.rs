//! The hub's port: who gets in, and by which protocol.

mod places;
mod restart;
mod tls;

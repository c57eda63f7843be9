//! The gRPC services that grpc-hub itself offers, generated from the `.proto` files beside this.
//!
//! Calls that the hub proxies are never decoded and have nothing to do with this crate.

/// `hub.v1`: what the hub tells about itself.
pub mod hub {
    /// Version 1.
    #[allow(missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
    #[allow(clippy::all, clippy::use_self, reason = "generated")]
    pub mod v1 {
        include!("gen/hub.v1.rs");
    }

    /// `hub.peer.v1`: what hubs tell each other.
    pub mod peer {
        /// Version 1.
        #[allow(missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
        #[allow(clippy::all, clippy::use_self, reason = "generated")]
        pub mod v1 {
            include!("gen/hub.peer.v1.rs");
        }
    }
}

/// `fluentd.v1`: the service that an agent without an upstream offers.
pub mod fluentd {
    /// Version 1.
    #[allow(missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
    #[allow(clippy::all, clippy::use_self, reason = "generated")]
    pub mod v1 {
        include!("gen/fluentd.v1.rs");
    }
}

/// `grpc`: services that gRPC itself has defined.
pub mod grpc {
    /// `grpc.health.v1`: whether services serve.
    pub mod health {
        /// Version 1.
        #[allow(missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
        #[allow(clippy::all, clippy::use_self, reason = "generated")]
        pub mod v1 {
            include!("gen/grpc.health.v1.rs");
        }
    }
}

/// As much of etcd's API as a hub uses. Not in [`DESCRIPTORS`].
#[allow(missing_docs, unreachable_pub, unused_qualifications, reason = "generated")]
#[allow(clippy::all, clippy::use_self, reason = "generated")]
pub mod etcd {
    include!("etcd/etcdserverpb.rs");
}

/// Every file of this crate and what it imports, as an encoded `FileDescriptorSet`: what server
/// reflection serves, and what `client` knows without asking.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");

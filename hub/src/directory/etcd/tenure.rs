//! For how long what a hub asks of an etcd holds.

use std::convert::Infallible;
use std::sync::Arc;

use hub_proto::etcd as pb;
use hub_proto::etcd::compare::{CompareResult, CompareTarget, TargetUnion};
use tokio::sync::watch;

use super::error::EtcdError;

/// By what etcd knows that a hub still means what it asks for: its own key is written with this lease. What comes late, when
/// the hub has another lease, changes nothing then. So a tenure ends with the first change that may come late.
#[derive(Clone, Debug)]
pub(in crate::directory) struct Tenure {
    /// The hub's own key.
    pub(super) key: String,
    pub(in crate::directory) lease: i64,
    /// Why it is not known what has become of a change: nothing more is asked then.
    pub(super) unclear: Arc<watch::Sender<Option<String>>>,
}

impl Tenure {
    pub(in crate::directory) fn new(key: String, lease: i64) -> Self {
        Self { key, lease, unclear: Arc::default() }
    }

    /// The hub's own key.
    pub(in crate::directory) fn key(&self) -> &[u8] {
        self.key.as_bytes()
    }

    /// Waits until it is not known what has become of a change.
    pub(in crate::directory) async fn ends_unclear(&self) -> Result<Infallible, EtcdError> {
        let mut unclear = self.unclear.subscribe();
        // Its sender is here.
        let why = unclear.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        Err(EtcdError::Unclear(why.unwrap_or_default()))
    }

    pub(super) fn lasts(&self) -> pb::Compare {
        let lease = TargetUnion::Lease(self.lease);
        compare(&self.key, CompareResult::Equal, CompareTarget::Lease, lease)
    }
}

/// Of this key alone.
pub(super) fn compare(
    key: &str,
    result: CompareResult,
    target: CompareTarget,
    with: TargetUnion,
) -> pb::Compare {
    pb::Compare {
        result: result.into(),
        target: target.into(),
        key: key.into(),
        range_end: Vec::new(),
        target_union: Some(with),
    }
}

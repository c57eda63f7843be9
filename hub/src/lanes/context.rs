//! What lanes need of the hub.

use std::sync::Arc;

use super::sentinels::Sentinels;
use crate::observe::limit::Limits;
use crate::observe::metrics::Metrics;
use crate::registry::Registry;

/// Shared by all lanes.
#[derive(Debug)]
pub(crate) struct LaneContext {
    pub(crate) registry: Arc<Registry>,
    pub(crate) limits: Arc<Limits>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) sentinels: Sentinels,
}

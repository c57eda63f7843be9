//! What is known of an agent process from its beginning.

use std::collections::BTreeMap;

use crate::config::auth::Holder;

/// What an agent says of itself, and who lets it in.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) instance: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) version: String,
    pub(crate) holder: Option<Holder>,
    pub(crate) came: u64,
}

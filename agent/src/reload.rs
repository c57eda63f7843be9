//! What files say, read when the agent starts and anew each time that it is told to.

use std::num::NonZeroU32;

use tracing::warn;
use tunnel::limits::OTHER_FILES;
use tunnel::program::raise_open_files;
use tunnel::setting::SettingError;
use tunnel::tls::TlsError;

use crate::config::Config;
use crate::exposed::Exposed;
use crate::transport::TlsClient;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The CA.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A setting.
    #[error(transparent)]
    Setting(#[from] SettingError),
}

/// What the files say now.
pub(crate) struct Settings {
    /// HTTP/1.1 over TLS, for the upgrade, where it is spoken.
    pub(crate) tls: Option<TlsClient>,
    /// HTTP/2 over TLS, for each upstream where it is spoken.
    pub(crate) upstream_tls: Vec<Option<TlsClient>>,
    pub(crate) max_lanes: NonZeroU32,
}

impl Settings {
    /// Reads all of them.
    ///
    /// # Errors
    /// One cannot be used, and is told.
    pub(crate) fn read(config: &Config) -> Result<Self, ReloadError> {
        Ok(Self {
            tls: config.tls_client()?,
            upstream_tls: config.exposed().map(Exposed::tls_client).collect::<Result<_, _>>()?,
            max_lanes: within_open_files(config.max_lanes.read()?),
        })
    }
}

/// As many as asked for, and as there are files for: each is a connection to the upstream.
fn within_open_files(asked: NonZeroU32) -> NonZeroU32 {
    let files = raise_open_files().saturating_sub(OTHER_FILES);
    let files = u32::try_from(files).unwrap_or(u32::MAX);
    let lanes = asked.min(NonZeroU32::new(files).unwrap_or(NonZeroU32::MIN));
    if lanes < asked {
        warn!(lanes, max_lanes = asked, "the limit of open files lowers the number of lanes");
    }
    lanes
}

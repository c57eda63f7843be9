//! What files say, read when the agent starts and anew each time that it is told to.

use std::num::NonZeroU32;

use tracing::warn;
use tunnel::dial::TlsClient;
use tunnel::limits::OTHER_FILES;
use tunnel::program::raise_open_files;
use tunnel::registration::RegistrationError;
use tunnel::setting::SettingError;
use tunnel::tls::TlsError;

use crate::config::Config;
use crate::exposed::Exposed;

/// A file that cannot be used, or what no hub can be told.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The names, or what is behind them.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
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
            max_lanes: one_for_each(within_open_files(config.max_lanes.read()?), config),
        })
    }
}

/// No name is to be without: the hub promises one to each.
fn one_for_each(lanes: NonZeroU32, config: &Config) -> NonZeroU32 {
    let names = u32::try_from(config.exposed().count()).unwrap_or(u32::MAX);
    let raised = lanes.max(NonZeroU32::new(names).unwrap_or(NonZeroU32::MIN));
    if raised > lanes {
        warn!(lanes = raised, max_lanes = lanes, "the number of names raises the number of lanes");
    }
    raised
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

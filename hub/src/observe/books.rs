//! Where each call is written down, beside what is counted: an access log, spans for a collector.

use std::io;
use std::sync::Arc;

use crate::config::Config;
use crate::observe::access_log::AccessLog;
use crate::observe::ending::Ending;
use crate::observe::metrics::Metrics;
use crate::observe::traces::Traces;

/// As far as they are asked for.
#[derive(Debug)]
pub(crate) struct Books {
    access_log: Option<AccessLog>,
    traces: Option<Traces>,
}

impl Books {
    /// Opens them. `node` is the id of this hub process.
    ///
    /// # Errors
    /// The access log cannot be opened.
    pub(crate) fn open(config: &Config, node: &str, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let access_log = config.access_log.as_ref();
        let access_log = access_log.map(|config| {
            let opened = AccessLog::open(config, metrics.clone());
            opened.map_err(|error| told(error, &format!("the access log {}", config.to)))
        });
        let traces =
            config.otlp.as_ref().map(|config| Traces::start(config, node, metrics.clone()));
        Ok(Self { access_log: access_log.transpose()?, traces })
    }

    /// A call is over.
    pub(crate) fn write(&self, ending: &Ending<'_>) {
        self.access_log.iter().for_each(|log| log.write(ending));
        self.traces.iter().for_each(|traces| traces.write(ending));
    }

    /// A file may have been moved away.
    pub(crate) fn reopen(&self) {
        self.access_log.iter().for_each(AccessLog::reopen);
    }

    /// What is on its way goes there. It waits for the disk, and for the collector.
    pub(crate) fn close(&self) {
        self.access_log.iter().for_each(AccessLog::close);
        self.traces.iter().for_each(Traces::close);
    }
}

/// Says what cannot be written.
fn told(error: io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write {what}: {error}"))
}

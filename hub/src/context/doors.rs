//! Who may come in now: asked at each connection and call, and told to those that are open when it changes.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::ConfigError;
use crate::config::keys::{KeyFiles, Keys};

/// The hub's doors.
#[derive(Debug)]
pub(crate) struct Doors {
    files: KeyFiles,
    /// The same for each worker: all who look at one share its lock.
    keys: Vec<watch::Sender<Arc<Keys>>>,
}

impl Doors {
    pub(crate) fn new(keys: Keys, files: KeyFiles, workers: usize) -> Self {
        let keys = Arc::new(keys);
        Self { files, keys: (0..workers).map(|_| watch::Sender::new(keys.clone())).collect() }
    }

    /// As they are now, for a worker.
    pub(crate) fn keys(&self, worker: usize) -> Arc<Keys> {
        self.keys[worker % self.keys.len()].borrow().clone()
    }

    /// Tells a worker's connections whenever they change.
    pub(crate) fn watch(&self, worker: usize) -> watch::Receiver<Arc<Keys>> {
        self.keys[worker % self.keys.len()].subscribe()
    }

    /// Reads the files anew. All of what they say holds from now on, or nothing of it: also where nobody could come in any
    /// more, for such an auth file was half written.
    ///
    /// # Errors
    /// One cannot be used; everything stays as it was.
    pub(crate) fn reload(&self) -> Result<(), ConfigError> {
        let before = self.keys(0);
        let keys = Arc::new(self.files.read(&before)?);
        if let Some(path) = &self.files.auth
            && keys.auth.is_shut()
            && !before.auth.is_shut()
        {
            return Err(ConfigError::Shut(path.clone()));
        }
        for worker in &self.keys {
            worker.send_replace(keys.clone());
        }
        Ok(())
    }
}

//! A front before a server, without a hub: what callers notice of each other there, no hub can mend.

use anyhow::Result;
use tempfile::TempDir;

use crate::args::{Front, Kind, Table};
use crate::child::Program;
use crate::rows::Row;
use crate::world::{Address, start_abuser, start_front, start_upstream};

/// What runs.
pub(crate) struct Bare {
    entry: Address,
    _front: Program,
    _server: Program,
    dir: TempDir,
}

impl Bare {
    /// Starts both. The server has no guards, which would end the front's connection.
    pub(crate) fn start(table: &Table, front: Front) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (server, address) = start_upstream(dir.path(), Kind::H2, table)?;
        let (front, entry) = start_front(dir.path(), table, front, address)?;
        Ok(Self { entry, _front: front, _server: server, dir })
    }

    /// Where callers connect.
    pub(crate) fn entry(&self) -> Address {
        self.entry.clone()
    }

    /// Starts somebody who misbehaves, and waits until it does.
    pub(crate) fn abuser(&self, row: &Row) -> Result<Program> {
        start_abuser(self.dir.path(), row, &self.entry)
    }
}

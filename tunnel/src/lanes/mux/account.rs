//! What the model of two ends looks at beside what their users see.

use super::Mux;

/// The accounts of one lane at one end.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Bytes that the peer may still send, as this end sees it.
    pub granted: u32,
    /// Bytes that wait for the reader.
    pub unread: usize,
    /// The peer has sent FIN.
    pub peer_finished: bool,
    /// Bytes that may still be written.
    pub credit: u32,
    /// Bytes that were written and are not sent.
    pub queued: usize,
    /// Granted and not told.
    pub credit_due: u32,
    /// Given up and not told.
    pub return_due: u32,
}

impl Mux {
    /// Those of a lane, while it is not over.
    #[must_use]
    pub fn account(&self, id: u32) -> Option<Account> {
        let lane = self.lanes.get(&id)?;
        Some(Account {
            granted: lane.granted,
            unread: lane.inbox.len(),
            peer_finished: lane.peer_finished,
            credit: lane.credit,
            queued: lane.queued(),
            credit_due: lane.credit_due,
            return_due: lane.return_due,
        })
    }

    /// Whether nothing is kept of any lane.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lanes.is_empty()
            && self.unread.is_empty()
            && self.urgent.is_empty()
            && self.resets.is_empty()
    }
}

//! What passes on the connection to an upstream, beside what HTTP/2 tells of it.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::frames::{DATA, Frame, GOAWAY, SETTINGS};
use crate::growth::Grants;
use crate::sieve::Watch;
use crate::upload_window::UploadWindow;

/// Sees the frames of a session.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamWatch {
    pub(crate) uploads: Arc<UploadWindow>,
    pub(crate) grants: Arc<Grants>,
    goaway: Arc<Notify>,
    settings: Arc<Notify>,
}

impl UpstreamWatch {
    pub(crate) fn new() -> Self {
        Self {
            uploads: UploadWindow::new(),
            grants: Arc::default(),
            goaway: Arc::default(),
            settings: Arc::default(),
        }
    }

    /// Resolves when the upstream has said GOAWAY. `h2` tells of it only to who wants a new stream, and by
    /// then the connection may be gone, and no successor asked for.
    pub(crate) async fn goaway(&self) {
        self.goaway.notified().await;
    }

    /// Resolves when the upstream has said SETTINGS: it may take more streams than before.
    pub(crate) async fn settings(&self) {
        self.settings.notified().await;
    }
}

impl Watch for UpstreamWatch {
    fn incoming(&mut self, frame: Frame) {
        if let Frame::Head(head) = frame {
            self.grants.incoming(head);
        }
        match frame {
            Frame::Head(head) if head.kind == GOAWAY => self.goaway.notify_one(),
            Frame::Head(head) if head.kind == SETTINGS => self.settings.notify_one(),
            Frame::WindowUpdate { stream, increment } => self.uploads.given_back(stream, increment),
            Frame::Head(_) | Frame::Goaway { .. } => {}
        }
    }

    fn outgoing(&mut self, frame: Frame) {
        if let Frame::Head(head) = frame
            && head.kind == DATA
        {
            self.uploads.taken(head.stream, head.len);
        }
    }
}

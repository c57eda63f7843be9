//! What a hub says of the health of a name, for as long as somebody watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::caller::{Ask, Caller, Target, grpc_frame, refused};

const WATCH: &str = "/grpc.health.v1.Health/Watch";
/// The answer SERVING: field 1 is 1.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];
/// Between the end of a watch and the next.
const AGAIN: Duration = Duration::from_millis(100);

/// A watch; it ends when dropped.
pub(crate) struct Health {
    /// How often something else was said than SERVING, or nothing more.
    otherwise: Arc<AtomicU64>,
    task: AbortHandle,
}

impl Health {
    /// Begins to watch a name at a hub.
    pub(crate) fn watch(hub: &Target, name: &str) -> Self {
        let otherwise = Arc::new(AtomicU64::new(0));
        let caller = Caller::new(Target { address: hub.address, name: None });
        let ask = Ask { message: question(name), ..Ask::grpc(WATCH, 0) };
        let count = otherwise.clone();
        let task = tokio::spawn(async move {
            loop {
                // However it ends: it should not have.
                let _ = answers(&caller, &ask, &count).await;
                count.fetch_add(1, Ordering::Relaxed);
                sleep(AGAIN).await;
            }
        });
        Self { otherwise, task: task.abort_handle() }
    }

    /// How often something else than SERVING was said.
    pub(crate) fn otherwise(&self) -> u64 {
        self.otherwise.load(Ordering::Relaxed)
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A message whose field 1 is the name.
fn question(name: &str) -> Bytes {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    grpc_frame(&[&[0x0a, length], name.as_bytes()].concat())
}

async fn answers(caller: &Caller, ask: &Ask, otherwise: &AtomicU64) -> Result<(), String> {
    let mut open = caller.open(ask, None).await?;
    open.send.send_data(ask.message.clone(), true).map_err(|error| error.to_string())?;
    let response = open.response.await.map_err(|error| error.to_string())?;
    refused(response.headers())?;
    let mut body = response.into_body();
    let mut said = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| error.to_string())?;
        // Fails only after a reset, of which the next read tells.
        let _ = body.flow_control().release_capacity(data.len());
        said.extend_from_slice(&data);
        while let Some(message) = next_message(&mut said) {
            if message != SERVING {
                otherwise.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    Ok(())
}

/// Takes the first message off, with its frame, if it is complete.
fn next_message(said: &mut Vec<u8>) -> Option<Vec<u8>> {
    let &[_, a, b, c, d] = said.first_chunk()?;
    let end = u32::from_be_bytes([a, b, c, d]) as usize + 5;
    (said.len() >= end).then(|| said.drain(..end).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_off_one_by_one() {
        let mut said = [SERVING, &[0, 0, 0, 0, 0], &[0, 0]].concat();
        assert_eq!(next_message(&mut said).as_deref(), Some(SERVING));
        assert_eq!(next_message(&mut said).as_deref(), Some(&[0, 0, 0, 0, 0][..]));
        assert_eq!(next_message(&mut said), None);
    }
}

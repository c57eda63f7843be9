//! This hub's place in an etcd, and who else has one.

use std::collections::BTreeMap;
use std::convert::Infallible;

use hub_proto::etcd as pb;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::Nodes;
use super::claims::{Claims, Place};
use super::etcd::{Etcd, EtcdError, Tenure};
use crate::config::directory::Directory;
use crate::config::peer_addr::PeerAddr;
use crate::limits::{DIRECTORY_LEASE, DIRECTORY_TIMEOUT};

/// What a hub writes of itself, as JSON. A newer one may write more.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    /// Where others reach it: `host:port`.
    peer: String,
    /// For people who look.
    #[serde(default)]
    version: String,
}

/// It lasts as long as its lease.
pub(super) struct Membership {
    etcd: Etcd,
    tenure: Tenure,
    /// What the keys of all hubs begin with.
    prefix: String,
    /// Where it is written who has which names exclusively.
    owners: Place,
}

impl Membership {
    /// Writes this hub's key.
    pub(super) async fn begin(
        etcd: Etcd,
        directory: &Directory,
        node: &str,
    ) -> Result<Self, EtcdError> {
        let (lease, last_change) = etcd.grant(DIRECTORY_LEASE).await?;
        let prefix = format!("{}/nodes/", directory.uri.prefix);
        let tenure = Tenure::new(format!("{prefix}{node}"), lease);
        let peer = directory.address.to_string();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let written = serde_json::json!(Written { peer, version }).to_string();
        etcd.begin_tenure(&tenure, &written, last_change).await?;
        let owners = format!("{}/owners/", directory.uri.prefix);
        let owners = Place {
            etcd: etcd.clone(),
            tenure: tenure.clone(),
            prefix: owners,
            node: node.to_owned(),
        };
        Ok(Self { etcd, tenure, prefix, owners })
    }

    /// Keeps it, and tells whenever something is heard: who is there, if that may have changed. Until it is lost.
    pub(super) async fn keep(
        &self,
        claims: &Claims,
        hears: impl Fn(Option<Nodes>),
    ) -> Result<Infallible, EtcdError> {
        let ended = tokio::select! {
            ended = self.keep_lease(|| hears(None)) => ended,
            ended = self.follow(&hears) => ended,
            ended = claims.keep(self.owners.clone()) => ended,
            ended = self.tenure.ends_unclear() => ended,
        };
        ended.map_err(|error| self.etcd.explained(error))
    }

    /// Ends it at once.
    pub(super) async fn end(&self) {
        if let Err(error) = self.etcd.revoke(self.tenure.lease).await {
            debug!(%error, "the lease ends by itself");
        }
    }

    async fn keep_lease(&self, hears: impl Fn()) -> Result<Infallible, EtcdError> {
        let (sender, mut answers) = self.etcd.keeper(self.tenure.lease).await?;
        loop {
            let answer = timeout(DIRECTORY_TIMEOUT, answers.message()).await;
            let answer = answer.map_err(|_| EtcdError::Silent(DIRECTORY_TIMEOUT))??;
            if answer.is_none_or(|answer| answer.ttl <= 0) {
                return Err(EtcdError::LeaseGone);
            }
            hears();
            sleep(DIRECTORY_LEASE / 5).await;
            // Its other end is here.
            let _ = sender.send(pb::LeaseKeepAliveRequest { id: self.tenure.lease }).await;
        }
    }

    /// All that are there, and then each change. Where changes are missed, all is read anew: by the caller, in another
    /// membership. So it is where this hub is not among them: others dial only who is.
    async fn follow(&self, hears: &impl Fn(Option<Nodes>)) -> Result<Infallible, EtcdError> {
        let (kvs, revision) = self.etcd.read(&self.prefix).await?;
        let mut known: BTreeMap<Vec<u8>, PeerAddr> = kvs.into_iter().filter_map(node).collect();
        let tell = |known: &BTreeMap<_, PeerAddr>| {
            hears(Some(known.values().cloned().collect()));
            if known.contains_key(self.tenure.key()) { Ok(()) } else { Err(EtcdError::Superseded) }
        };
        tell(&known)?;
        let (_held, mut changes) = self.etcd.watch(&self.prefix, revision + 1).await?;
        while let Some(response) = changes.message().await? {
            let pb::WatchResponse { canceled, compact_revision, cancel_reason, events } = response;
            if canceled || compact_revision > 0 {
                let compacted = format!("changes before {compact_revision} are forgotten");
                let reason = if compact_revision > 0 { compacted } else { cancel_reason };
                return Err(EtcdError::WatchEnded(reason));
            }
            if events.is_empty() {
                continue;
            }
            for event in events {
                take(&mut known, event);
            }
            tell(&known)?;
        }
        Err(EtcdError::WatchEnded("no more is told".into()))
    }
}

fn take(known: &mut BTreeMap<Vec<u8>, PeerAddr>, event: pb::Event) {
    let is_gone = event.r#type() == pb::event::EventType::Delete;
    let Some(kv) = event.kv else { return };
    if is_gone {
        known.remove(&kv.key);
    } else if let Some((key, peer)) = node(kv) {
        known.insert(key, peer);
    }
}

/// Where a hub is, if that is what is written there.
fn node(pb::KeyValue { key, value }: pb::KeyValue) -> Option<(Vec<u8>, PeerAddr)> {
    let written: Written = serde_json::from_slice(&value).ok()?;
    Some((key, written.peer.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kv(key: u8, value: &str) -> pb::KeyValue {
        pb::KeyValue { key: vec![key], value: value.into() }
    }

    fn event(kind: pb::event::EventType, kv: pb::KeyValue) -> pb::Event {
        pb::Event { r#type: kind.into(), kv: Some(kv) }
    }

    #[test]
    fn what_is_no_hub_is_passed_over() {
        let written = r#"{"peer":"hub-1:8082","version":"9.9","draining":false}"#;
        assert_eq!(node(kv(1, written)).expect("a hub").1.to_string(), "hub-1:8082");
        for other in ["", "{}", "hub-1:8082", r#"{"peer":7}"#, r#"{"peer":"hub-1"}"#] {
            assert_eq!(node(kv(1, other)), None, "{other}");
        }
    }

    proptest! {
        /// Whatever comes and goes, what is known is what a list would tell now.
        #[test]
        fn changes_lead_to_what_is_there(changes in prop::collection::vec((0..5_u8, 0..4_u8), 0..40)) {
            let (mut known, mut there) = (BTreeMap::new(), BTreeMap::new());
            for (key, what) in changes {
                let value = match what {
                    0 => {
                        there.remove(&key);
                        take(&mut known, event(pb::event::EventType::Delete, kv(key, "")));
                        continue;
                    }
                    1 => "{}".to_owned(),
                    port => format!("{{\"peer\":\"hub:{port}\"}}"),
                };
                if what > 1 {
                    there.insert(key, format!("hub:{what}"));
                }
                take(&mut known, event(pb::event::EventType::Put, kv(key, &value)));
            }
            let known: Vec<_> = known.iter().map(|(key, peer)| (key[0], peer.to_string())).collect();
            prop_assert_eq!(known, there.into_iter().collect::<Vec<_>>());
        }
    }
}

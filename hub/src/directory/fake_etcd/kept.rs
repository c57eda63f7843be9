//! What an etcd keeps, and how it decides.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hub_proto::etcd as pb;
use hub_proto::etcd::compare::{CompareResult, TargetUnion};
use hub_proto::etcd::event::EventType;
use hub_proto::etcd::request_op::Request as Op;
use hub_proto::etcd::response_op::Response as Done;
use tokio::time::Instant;
use tonic::Status;

#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) keys: BTreeMap<Vec<u8>, Key>,
    pub(super) leases: HashMap<i64, (Duration, Instant)>,
    pub(super) history: Vec<pb::Event>,
    /// So many of the first changes are forgotten.
    pub(super) compacted: usize,
    pub(super) last_lease: i64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Key {
    pub(super) value: Vec<u8>,
    pub(super) lease: i64,
    /// The change that wrote it last.
    revision: i64,
}

impl Kept {
    fn put(&mut self, pb::PutRequest { key, value, lease }: pb::PutRequest) -> Result<(), Status> {
        if lease != 0 && !self.leases.contains_key(&lease) {
            return Err(Status::not_found("etcdserver: requested lease not found"));
        }
        let kv = Some(pb::KeyValue { key: key.clone(), value: value.clone() });
        self.history.push(pb::Event { r#type: EventType::Put.into(), kv });
        let revision = super::number(self.history.len());
        self.keys.insert(key, Key { value, lease, revision });
        Ok(())
    }

    pub(super) fn delete(&mut self, is_gone: impl Fn(&[u8], &Key) -> bool) {
        let gone = self.keys.extract_if(.., |key, kept| is_gone(key, kept));
        for (key, _) in gone {
            let kv = Some(pb::KeyValue { key, value: Vec::new() });
            self.history.push(pb::Event { r#type: EventType::Delete.into(), kv });
        }
    }

    pub(super) fn end_lease(&mut self, lease: i64) {
        self.leases.remove(&lease);
        self.delete(|_, key| key.lease == lease);
    }

    fn holds(&self, compare: &pb::Compare) -> bool {
        let is_in = |key: &[u8]| match &*compare.range_end {
            [] => key == compare.key,
            end => (&*compare.key..end).contains(&key),
        };
        let mut keys: Vec<_> =
            self.keys.iter().filter(|(key, _)| is_in(key)).map(|(_, kept)| kept).collect();
        let never = Key::default();
        if keys.is_empty() && !matches!(compare.target_union, Some(TargetUnion::Value(_))) {
            keys.push(&never);
        }
        let is_less = compare.result() == CompareResult::Less;
        let is_so = |is: i64, with: i64| if is_less { is < with } else { is == with };
        let holds = |key: &&Key| match &compare.target_union {
            // Of no interest but whether it was written at all.
            Some(TargetUnion::Version(with)) => is_so(key.revision.min(1), *with),
            Some(TargetUnion::ModRevision(with)) => is_so(key.revision, *with),
            Some(TargetUnion::Lease(with)) => is_so(key.lease, *with),
            Some(TargetUnion::Value(wanted)) => key.value == *wanted,
            None => false,
        };
        !keys.is_empty() && keys.iter().all(holds)
    }

    pub(super) fn decide(&mut self, txn: pb::TxnRequest) -> Result<pb::TxnResponse, Status> {
        let succeeded = txn.compare.iter().all(|compare| self.holds(compare));
        let mut responses = Vec::new();
        for op in if succeeded { txn.success } else { txn.failure } {
            let response = match op.request {
                Some(Op::RequestPut(put)) => {
                    self.put(put)?;
                    None
                }
                Some(Op::RequestDeleteRange(delete)) => {
                    self.delete(|key, _| key == delete.key);
                    None
                }
                Some(Op::RequestTxn(txn)) => Some(Done::ResponseTxn(self.decide(txn)?)),
                None => None,
            };
            responses.push(pb::ResponseOp { response });
        }
        Ok(pb::TxnResponse { succeeded, responses })
    }
}

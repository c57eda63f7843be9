//! `hub.v1.Activity`: what happens, as it happens.

use std::sync::Arc;

use hub_proto::hub::v1::activity_server::Activity as ActivityService;
use hub_proto::hub::v1::{ActivityEvent, Call, ConnectRequest, EventType};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use tunnel::limits::ACTIVITY_IN_HAND;

use crate::activity::{Activity, Event, ProxiedCall, What};
use crate::auth::Caller;
use crate::stop::Stop;

/// Streams the activity.
#[derive(Debug)]
pub(super) struct Events {
    activity: Arc<Activity>,
    stop: Stop,
}

impl Events {
    pub(super) fn new(activity: Arc<Activity>, stop: Stop) -> Self {
        Self { activity, stop }
    }
}

#[tonic::async_trait]
impl ActivityService for Events {
    type ConnectStream = ReceiverStream<Result<ActivityEvent, Status>>;

    async fn connect(
        &self,
        request: Request<ConnectRequest>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let caller = super::caller(&request)?.clone();
        let (sender, receiver) = mpsc::channel(ACTIVITY_IN_HAND);
        let (events, stop) = (self.activity.watch(), self.stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = forward(events, &caller, &sender) => {}
                () = stop.draining() => super::going_away(&sender).await,
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

async fn forward(
    mut events: Receiver<Arc<Event>>,
    caller: &Caller,
    sender: &mpsc::Sender<Result<ActivityEvent, Status>>,
) {
    let mut missed = 0;
    loop {
        match events.recv().await {
            Ok(event) if caller.may_call(&event.name) => {
                if sender.send(Ok(message(&event, missed))).await.is_err() {
                    return;
                }
                missed = 0;
            }
            Ok(_) => {}
            Err(RecvError::Lagged(lost)) => missed += lost,
            Err(RecvError::Closed) => return,
        }
    }
}

fn message(event: &Event, missed: u64) -> ActivityEvent {
    let (kind, call) = match &event.what {
        What::Registered => (EventType::ClientRegistered, None),
        What::Unregistered => (EventType::ClientUnregistered, None),
        What::Proxied(proxied) => (EventType::RequestProxied, Some(call(proxied))),
    };
    ActivityEvent {
        sequence: event.sequence,
        time: Some(event.time.into()),
        r#type: kind.into(),
        name: event.name.to_string(),
        instance: event.instance.clone(),
        call,
        missed,
    }
}

fn call(proxied: &ProxiedCall) -> Call {
    Call {
        method: proxied.method.clone(),
        status: proxied.outcome.to_string(),
        hub_reason: proxied.reason.unwrap_or_default().to_owned(),
        duration: proxied.duration.try_into().ok(),
        request_bytes: proxied.request_bytes,
        response_bytes: proxied.response_bytes,
    }
}

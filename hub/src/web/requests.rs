//! What becomes of each request of a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::header::UPGRADE;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;
use tunnel::wire;

use super::body::{Body, full};
use super::calls::Calls;
use super::pending::Pending;
use super::whole::Room;
use super::{connect, cors, grpc_web, plain};
use crate::agent::{registrar, upgrade};
use crate::config::cors::CorsOrigins;
use crate::config::networks::network;
use crate::context::origin::Origin;
use crate::limits::HANDSHAKE_TIMEOUT;
use crate::message::form::AnswerForm;
use crate::message::refusal::Refusal;
use crate::registry::Admitted;

/// All requests of one connection.
#[derive(Debug)]
pub(crate) struct Requests {
    origin: Origin,
    pub(super) calls: Calls,
    pub(super) room: Arc<Room>,
    sessions: Sessions,
    /// Told with the first that is a call.
    called: Notify,
}

/// Where an agent's session is served.
#[derive(Debug)]
pub(crate) enum Sessions {
    /// On the whole connection, once it has been handed over (HTTP/1.1).
    Alone(Mutex<Option<Box<(OnUpgrade, Admitted)>>>),
    /// On a stream beside others, whose connection is told so (RFC 8441).
    Beside(Arc<AtomicBool>),
}

impl Requests {
    pub(crate) fn new(origin: Origin, sessions: Sessions) -> Arc<Self> {
        let holding = origin.hub.held.connection(network(origin.peer.ip()));
        Arc::new(Self {
            calls: Calls::new(origin.clone()),
            room: Room::new(holding),
            origin,
            sessions,
            called: Notify::new(),
        })
    }

    /// Resolves with the first that is a call.
    pub(crate) async fn called(&self) {
        self.called.notified().await;
    }

    /// The agent that the connection was upgraded for.
    pub(crate) fn upgraded(&self) -> Option<(OnUpgrade, Admitted)> {
        match &self.sessions {
            Sessions::Alone(session) => session.lock().take().map(|session| *session),
            Sessions::Beside(_) => None,
        }
    }

    /// Answers one.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if is_registration(&request) {
            return self.register(request).await;
        }
        self.called.notify_one();
        let pending = Pending::of(&request, &self.origin);
        let Some(origins) = &self.origin.hub.config.cors_origins else {
            let form = form(&request);
            return self.call(request, form, pending).await;
        };
        if cors::is_preflight(&request) && !request.headers().contains_key(wire::NAME) {
            return match cors::preflight(request.headers(), origins) {
                Some(answer) => {
                    pending.answered(answer.status());
                    answer
                }
                None => plain::refused(&Refusal::Origin, AnswerForm::Http, pending),
            };
        }
        self.call_of_page(request, pending, origins).await
    }

    async fn call_of_page(
        &self,
        request: Request<Incoming>,
        pending: Pending,
        origins: &CorsOrigins,
    ) -> Response<Body> {
        let asked = cors::allowed(request.headers(), origins);
        let form = form(&request);
        let is_web = !matches!(form, AnswerForm::Grpc | AnswerForm::Http | AnswerForm::HttpHead);
        let mut response = self.call(request, form, pending).await;
        // Who may see any other answer is its server's affair.
        if is_web {
            cors::show(response.headers_mut(), asked, origins);
        }
        response
    }

    async fn call(
        &self,
        request: Request<Incoming>,
        form: AnswerForm,
        pending: Pending,
    ) -> Response<Body> {
        let calls = &self.calls;
        match form {
            AnswerForm::GrpcWeb(kind) => grpc_web::call(calls, request, kind, pending).await,
            AnswerForm::ConnectStream(kind) => connect::stream(calls, request, kind, pending).await,
            AnswerForm::ConnectUnary => connect::unary(self, request, pending).await,
            AnswerForm::Grpc | AnswerForm::Http | AnswerForm::HttpHead => {
                plain::call(calls, request, form, pending).await
            }
        }
    }

    // --- agents ---

    async fn register(&self, mut request: Request<Incoming>) -> Response<Body> {
        match upgrade::answer(&request, &self.origin).await {
            Ok((response, admitted)) => {
                self.serve_session(hyper::upgrade::on(&mut request), admitted);
                response.map(|()| super::body::empty())
            }
            Err(refusal) => refusal.map(full),
        }
    }

    fn serve_session(&self, upgrade: OnUpgrade, admitted: Admitted) {
        match &self.sessions {
            Sessions::Alone(session) => {
                *session.lock() = Some(Box::new((upgrade, admitted)));
            }
            Sessions::Beside(told) => {
                told.store(true, Ordering::Relaxed);
                let origin = self.origin.clone();
                self.origin.hub.connections.spawn(async move {
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, upgrade).await {
                        let read = bytes::Bytes::new();
                        registrar::serve(TokioIo::new(stream), read, admitted, origin).await;
                    }
                });
            }
        }
    }
}

fn form(request: &Request<Incoming>) -> AnswerForm {
    plain::form(request.method(), request.uri(), request.headers())
}

/// Whether an agent asks for a session, or somebody for what only agents do.
fn is_registration(request: &Request<Incoming>) -> bool {
    let asks_for_websocket = |value: &http::HeaderValue| {
        value.to_str().is_ok_and(|value| value.eq_ignore_ascii_case("websocket"))
    };
    let is_call = request.headers().contains_key(wire::NAME);
    request.uri().path() == wire::PATH && !is_call
        || request.extensions().get::<Protocol>().is_some()
        || request.headers().get(UPGRADE).is_some_and(asks_for_websocket)
}

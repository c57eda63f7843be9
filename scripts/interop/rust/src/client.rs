//! Runs cases over one channel, and tells how each went.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::time::{Instant, timeout};
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::testing::test_service_client::TestServiceClient;
use crate::{ClientArgs, cases, say};

/// Far above what any case takes, so that a hang fails by name.
const CASE_LIMIT: Duration = Duration::from_secs(60);

/// What the cases call with.
pub(crate) struct Caller<'a> {
    args: &'a ClientArgs,
    name: Option<MetadataValue<Ascii>>,
    endpoint: Endpoint,
    pub(crate) channel: Channel,
}

impl Caller<'_> {
    /// A stub on the connection that the cases share.
    pub(crate) fn stub(&self) -> TestServiceClient<Channel> {
        TestServiceClient::new(self.channel.clone())
    }

    /// A stub on a connection of its own.
    pub(crate) async fn new_stub(&self) -> anyhow::Result<TestServiceClient<Channel>> {
        Ok(TestServiceClient::new(self.endpoint.connect().await?))
    }

    /// A request with what every call carries.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(name) = &self.name {
            request.metadata_mut().insert("name", name.clone());
        }
        request
    }

    /// Iterations of the soaks.
    pub(crate) fn soak(&self) -> u32 {
        self.args.soak
    }
}

/// Runs the cases named, whatever comes of each.
///
/// # Errors
///
/// The name or the CA is no good, or there is no connection.
pub(crate) async fn run(args: &ClientArgs) -> anyhow::Result<()> {
    let name = args.name.as_deref().map(str::parse).transpose()?;
    let endpoint = endpoint(args)?;
    let channel = endpoint.connect().await.context("no connection")?;
    let caller = Caller { args, name, endpoint, channel };
    for case in &args.cases {
        let began = Instant::now();
        let why = match timeout(CASE_LIMIT, cases::run(&caller, case)).await {
            Ok(result) => result.err().map(|error| format!("{error:#}")),
            Err(_) => Some(format!("not done within {CASE_LIMIT:?}")),
        };
        let ms = began.elapsed().as_millis() as u64;
        say(json!({ "case": case, "ok": why.is_none(), "ms": ms, "why": why }));
    }
    Ok(())
}

fn endpoint(args: &ClientArgs) -> anyhow::Result<Endpoint> {
    let Some(ca) = &args.tls_ca_file else {
        return Ok(Endpoint::from_shared(format!("http://{}", args.target))?);
    };
    let ca = fs::read(ca).with_context(|| format!("cannot read {}", ca.display()))?;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    Ok(Endpoint::from_shared(format!("https://{}", args.target))?.tls_config(tls)?)
}

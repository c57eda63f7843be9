//! Agents, each with a session and, as a rule, a name of its own, and without a call.

use std::future::{Future, pending};
use std::net::Ipv4Addr;
use std::time::Duration;

use agent::{Config, Exposed, HubHeaders, HubUri, Upstream};
use anyhow::Result;
use clap::{Args, value_parser};
use humantime::parse_duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::service::Routes;
use tunnel::name::Name;

/// The first of the addresses that they say: there is no machine in this network (RFC 2544).
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

/// Where they register, and as whom.
#[derive(Clone, Debug, Args)]
pub(crate) struct Fleet {
    hub_uri: HubUri,
    /// Say by `X-Forwarded-For`, taking turns, that they come from so many addresses: a hub whose --trusted-proxies has this
    /// machine limits each of them by itself
    #[arg(long, value_name = "N", default_value_t = 0)]
    addresses: u16,
    /// All have this one name [default: each has one of its own]
    #[arg(long)]
    name: Option<Name>,
}

/// Agents that come and go.
#[derive(Clone, Debug, Args)]
pub(crate) struct Passing {
    #[command(flatten)]
    fleet: Fleet,
    /// So many of them come a second, whatever becomes of those before
    #[arg(value_parser = value_parser!(u32).range(1..))]
    rate: u32,
    /// How long each is there; for as long, at least, its name is then nobody's
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration)]
    stay: Duration,
}

impl Fleet {
    /// All of them, for as long as they are not let go.
    pub(crate) async fn stay(&self, count: usize) -> Result<()> {
        let mut running = JoinSet::new();
        for number in 0..count {
            running.spawn(agent::run(self.config("idle", number)?, pending()));
        }
        while let Some(ended) = running.join_next().await {
            ended??;
        }
        Ok(())
    }

    fn config(&self, kind: &str, number: usize) -> Result<Config> {
        let services = Upstream::Services(Routes::default());
        let own = || format!("{kind}-{number}").parse();
        let exposed = Exposed::new(self.name.clone().map_or_else(own, Ok)?, services);
        let config = Config::new(exposed, self.hub_uri.clone());
        Ok(Config { sessions: Some(1), hub_headers: self.headers(number)?, ..config })
    }

    fn headers(&self, number: usize) -> Result<HubHeaders> {
        let mut headers = HubHeaders::default();
        if let Some(nth) = number.checked_rem(self.addresses.into()) {
            let address = Ipv4Addr::from(u32::from(FIRST_ADDRESS) + u32::try_from(nth)?);
            headers.typed.push(format!("x-forwarded-for: {address}").parse()?);
        }
        Ok(headers)
    }
}

impl Passing {
    /// For ever.
    pub(crate) async fn pass(&self) -> Result<()> {
        let mut running = JoinSet::new();
        let start = Instant::now();
        // Each name is away for as long as it was there.
        let names = (f64::from(self.rate) * self.stay.as_secs_f64() * 2.0).ceil() as usize + 1;
        for number in 0_u64.. {
            let due = start + Duration::from_secs(1).mul_f64(number as f64 / f64::from(self.rate));
            sleep_until(due).await;
            while let Some(ended) = running.try_join_next() {
                ended??;
            }
            let name = usize::try_from(number)? % names;
            running.spawn(self.one(name)?);
        }
        Ok(())
    }

    fn one(&self, number: usize) -> Result<impl Future<Output = Result<()>> + 'static> {
        let (config, stay) = (self.fleet.config("passing", number)?, self.stay);
        Ok(async move { Ok(agent::run(config, sleep(stay)).await?) })
    }
}

//! `hub.v1.Names`: what the names do, and the hub itself. The page shows it.

mod told;

use std::cmp::Ordering;
use std::sync::Arc;

use hub_proto::hub::v1::names_server::Names as NamesService;
use hub_proto::hub::v1::{
    GetHubRequest, GetHubResponse, GetNameRequest, GetNameResponse, ListNamesRequest,
    ListNamesResponse, NameOrder, StateCount,
};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use tunnel::name::Name;

use self::told::{Row, limit_told, method_told};
use super::clients::Clients;
use crate::guard::held_bytes::HeldBytes;
use crate::limits::{NAME_AGENTS, NAMES_PAGE, NAMES_PAGE_MAX, OVERVIEW_AGE};
use crate::observe::heard::Heard;
use crate::observe::limit::Limits;
use crate::observe::metrics::Metrics;
use crate::observe::name_view::NameState;
use crate::observe::tally::RECENT_STEP;
use crate::registry::{Place, Registry};
use crate::stop::Stop;

/// What is told of the hub beside its registry.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) held: Arc<HeldBytes>,
    pub(crate) directory: Arc<Heard>,
    pub(crate) stop: Stop,
}

impl State {
    /// `held` by calls, and what was heard of the directory.
    pub(crate) fn new(
        metrics: &Arc<Metrics>,
        limits: &Arc<Limits>,
        (held, directory): (Arc<HeldBytes>, Arc<Heard>),
        stop: &Stop,
    ) -> Self {
        let (metrics, limits, stop) = (metrics.clone(), limits.clone(), stop.clone());
        Self { metrics, limits, held, directory, stop }
    }
}

/// Tells of the names.
#[derive(Debug)]
pub(super) struct Names {
    registry: Arc<Registry>,
    clients: Arc<Clients>,
    state: State,
    /// What was told last, and when.
    overview: Mutex<Option<(Instant, Arc<[Row]>)>>,
}

impl Names {
    pub(super) fn new(registry: Arc<Registry>, clients: Arc<Clients>, state: State) -> Self {
        Self { registry, clients, state, overview: Mutex::default() }
    }

    /// All names, as they were a moment ago. It takes some milliseconds where there are many, so it is done for all who ask
    /// at once, and where no calls wait for it.
    async fn overview(&self) -> Result<Arc<[Row]>, Status> {
        let mut last = self.overview.lock().await;
        if let Some((at, rows)) = &*last
            && at.elapsed() < OVERVIEW_AGE
        {
            return Ok(rows.clone());
        }
        let registry = self.registry.clone();
        let all = move || registry.overview().into_iter().map(Row::of).collect();
        let rows: Arc<[Row]> = tokio::task::spawn_blocking(all)
            .await
            .map_err(|_| Status::internal("the list could not be made"))?;
        *last = Some((Instant::now(), rows.clone()));
        Ok(rows)
    }
}

#[tonic::async_trait]
impl NamesService for Names {
    async fn list_names(
        &self,
        request: Request<ListNamesRequest>,
    ) -> Result<Response<ListNamesResponse>, Status> {
        let caller = super::caller(&request)?.clone();
        let asked = request.into_inner();
        let order = NameOrder::try_from(asked.order);
        let order = order.map_err(|_| Status::invalid_argument("there is no such order"))?;
        let states = asked.states.iter().map(|state| told::state_asked(*state));
        let states: Vec<NameState> = states.collect::<Result<_, _>>()?;
        let all = self.overview().await?;
        let is_found = |row: &&Row| {
            row.view.name.as_str().contains(&asked.filter) && caller.may_call(&row.view.name)
        };
        let found: Vec<&Row> = all.iter().filter(is_found).collect();
        let counts = count_states(&found);
        let is_asked = |row: &&&Row| states.is_empty() || states.contains(&row.view.state);
        let mut shown: Vec<&Row> = found.iter().filter(is_asked).copied().collect();
        // They come in the order of their names, which this keeps where they are equal.
        shown.sort_by(|one, next| {
            let ordering = compare(order, one, next);
            if asked.descending { ordering.reverse() } else { ordering }
        });
        let limit =
            if asked.limit == 0 { NAMES_PAGE } else { NAMES_PAGE_MAX.min(asked.limit as usize) };
        let page = shown.iter().skip(asked.offset as usize).take(limit);
        Ok(Response::new(ListNamesResponse {
            names: page.map(|row| row.told()).collect(),
            total: told::number(shown.len()),
            states: counts,
            step: RECENT_STEP.try_into().ok(),
        }))
    }

    async fn get_name(
        &self,
        request: Request<GetNameRequest>,
    ) -> Result<Response<GetNameResponse>, Status> {
        let caller = super::caller(&request)?;
        let name: Name = request
            .get_ref()
            .name
            .parse()
            .map_err(|error| Status::invalid_argument(format!("this is no name: {error}")))?;
        if !caller.may_call(&name) {
            return Err(Status::permission_denied("your token is not good for this name"));
        }
        let view = self.registry.view(&name);
        let view = view.ok_or_else(|| Status::not_found("nobody has registered this name"))?;
        let begin = Place::before(&name);
        let agents = self.registry.agents_after(Some(begin), NAME_AGENTS, |other| *other == name);
        let methods = view.tally.look(|_, methods| methods.all().map(method_told).collect());
        let mut methods: Vec<_> = methods.unwrap_or_default();
        methods.sort_by_key(|(calls, _)| std::cmp::Reverse(*calls));
        Ok(Response::new(GetNameResponse {
            name: Some(Row::of(view).told()),
            agents: self.clients.told(&agents),
            methods: methods.into_iter().map(|(_, method)| method).collect(),
            step: RECENT_STEP.try_into().ok(),
        }))
    }

    async fn get_hub(
        &self,
        request: Request<GetHubRequest>,
    ) -> Result<Response<GetHubResponse>, Status> {
        super::caller(&request)?;
        let State { metrics, limits, held, directory, stop } = &self.state;
        let there = self.registry.there();
        let levels = metrics.levels();
        Ok(Response::new(GetHubResponse {
            nodes: self.clients.nodes(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            draining: stop.is_leaving(),
            certificate_ends: metrics.certificate_end().map(told::unix),
            limits: limits.reached_so_far().into_iter().map(limit_told).collect(),
            client_connections: levels.client_connections,
            calls_in_flight: levels.streams,
            calls_parked: levels.parked,
            lanes: levels.lanes,
            agents: there.agents as u64,
            sessions: there.sessions as u64,
            held_bytes: held.total() as u64,
            held_bytes_max: held.ceiling() as u64,
            directory_age: directory.age().and_then(|age| age.try_into().ok()),
        }))
    }
}

fn count_states(rows: &[&Row]) -> Vec<StateCount> {
    let count = |state: NameState| rows.iter().filter(|row| row.view.state == state).count();
    let counts = NameState::ALL.map(|state| (state, count(state)));
    let counts = counts.into_iter().filter(|(_, names)| *names > 0);
    counts
        .map(|(state, names)| StateCount {
            state: told::state(state).into(),
            names: told::number(names),
        })
        .collect()
}

fn compare(order: NameOrder, one: &Row, next: &Row) -> Ordering {
    let by = |value: fn(&Row) -> f64| value(one).total_cmp(&value(next));
    match order {
        NameOrder::Unspecified => one.view.state.cmp(&next.view.state),
        NameOrder::Name => one.view.name.cmp(&next.view.name),
        NameOrder::Calls => by(|row| row.rates.calls),
        NameOrder::Errors => by(|row| row.rates.errors),
        NameOrder::InFlight => one.view.in_flight.cmp(&next.view.in_flight),
        NameOrder::P99 => {
            one.quantiles.map(|times| times[1]).cmp(&next.quantiles.map(|times| times[1]))
        }
        NameOrder::Rtt => one.view.rtt.cmp(&next.view.rtt),
        NameOrder::Bytes => by(|row| row.rates.bytes.0 + row.rates.bytes.1),
        NameOrder::Since => one.view.since.cmp(&next.view.since),
    }
}

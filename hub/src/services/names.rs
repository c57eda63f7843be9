//! `hub.v1.Names`: what the names do, and the hub itself. The page shows it.

mod told;

use std::cmp::Ordering;
use std::sync::Arc;

use hub_proto::hub::v1::names_server::Names as NamesService;
use hub_proto::hub::v1::{
    GetHubRequest, GetHubResponse, GetNameRequest, GetNameResponse, ListNamesRequest,
    ListNamesResponse, NameOrder, StateCount,
};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};
use tunnel::name::Name;

use self::told::{Row, limit_told, method_told};
use super::clients::Clients;
use super::shared::Shared;
use crate::config::auth::Caller;
use crate::guard::held_bytes::HeldBytes;
use crate::limits::{NAME_AGENTS, NAMES_LISTS, NAMES_PAGE, NAMES_PAGE_MAX, OVERVIEW_AGE};
use crate::observe::heard::Heard;
use crate::observe::limit::Limits;
use crate::observe::metrics::Metrics;
use crate::observe::name_view::NameState;
use crate::observe::tally::RECENT_STEP;
use crate::registry::Registry;
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
    overview: Shared<Vec<Row>>,
    /// Lists that are put together at once.
    lists: Arc<Semaphore>,
}

impl Names {
    pub(super) fn new(registry: Arc<Registry>, clients: Arc<Clients>, state: State) -> Self {
        let (overview, lists) = (Shared::new(OVERVIEW_AGE), Arc::new(Semaphore::new(NAMES_LISTS)));
        Self { registry, clients, state, overview, lists }
    }

    /// All names, as they were a moment ago. It takes some milliseconds where there are many.
    async fn overview(&self) -> Result<Arc<Vec<Row>>, Status> {
        let registry = self.registry.clone();
        self.overview.get(move || registry.overview().into_iter().map(Row::of).collect()).await
    }
}

/// A list that somebody asks for.
struct Asked {
    caller: Caller,
    filter: String,
    /// By [`NameState`]; none, for all.
    states: Option<[bool; NameState::ALL.len()]>,
    order: NameOrder,
    descending: bool,
    offset: usize,
    limit: usize,
}

impl Asked {
    fn of(request: ListNamesRequest, caller: Caller) -> Result<Self, Status> {
        let order = NameOrder::try_from(request.order);
        let order = order.map_err(|_| Status::invalid_argument("there is no such order"))?;
        let mut states = None;
        for state in request.states {
            let state = told::state_asked(state)?;
            states.get_or_insert([false; NameState::ALL.len()])[state as usize] = true;
        }
        let limit = match request.limit {
            0 => NAMES_PAGE,
            limit => NAMES_PAGE_MAX.min(limit as usize),
        };
        let ListNamesRequest { filter, descending, offset, .. } = request;
        let offset = offset as usize;
        Ok(Self { caller, filter, states, order, descending, offset, limit })
    }

    /// What it shows of all there are.
    fn list(&self, all: &[Row]) -> ListNamesResponse {
        let is_found = |row: &&Row| {
            let name = &row.view.name;
            name.as_str().contains(&self.filter) && self.caller.may_call(name)
        };
        let found: Vec<&Row> = all.iter().filter(is_found).collect();
        let states = count_states(&found);
        let is_asked =
            |row: &&Row| self.states.is_none_or(|states| states[row.view.state as usize]);
        let mut shown: Vec<&Row> = found.into_iter().filter(is_asked).collect();
        // They come in the order of their names, which this keeps where they are equal.
        shown.sort_by(|one, next| {
            let ordering = compare(self.order, one, next);
            if self.descending { ordering.reverse() } else { ordering }
        });
        let page = shown.iter().skip(self.offset).take(self.limit);
        ListNamesResponse {
            names: page.map(|row| row.told()).collect(),
            total: told::number(shown.len()),
            states,
            step: RECENT_STEP.try_into().ok(),
        }
    }
}

#[tonic::async_trait]
impl NamesService for Names {
    async fn list_names(
        &self,
        request: Request<ListNamesRequest>,
    ) -> Result<Response<ListNamesResponse>, Status> {
        let caller = super::caller(&request)?.clone();
        let asked = Asked::of(request.into_inner(), caller)?;
        // A few at once: each goes over all names.
        let turn = super::turn(&self.lists).await?;
        let all = self.overview().await?;
        let list = super::elsewhere(move || {
            // Also where nobody waits for it any more.
            let _turn = turn;
            asked.list(&all)
        });
        Ok(Response::new(list.await?))
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
        let agents = self.registry.agents_of(&name, NAME_AGENTS);
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
        NameOrder::Unspecified => {
            let by_errors = next.rates.errors.total_cmp(&one.rates.errors);
            one.view.state.cmp(&next.view.state).then(by_errors)
        }
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

//! Where descriptors come from: built in for grpc-hub's own services, server reflection for all others.

use prost_reflect::{
    DescriptorPool, EnumDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
};
use tonic::{Code, Status};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::Error;
use crate::caller::{Caller, Deadline};
use crate::files::{Files, well_known};
use crate::method_path::MethodPath;
use crate::reflection::{Reflection, unexpected};
use crate::status::with_hint;

/// What a full name may stand for.
#[derive(Debug)]
pub(crate) enum Symbol {
    Service(ServiceDescriptor),
    Method(MethodDescriptor),
    Message(MessageDescriptor),
    Enum(EnumDescriptor),
}

/// The method that `path` names.
///
/// # Errors
/// NOT_FOUND if there is none, or what reflection met.
pub(crate) async fn method(caller: &Caller, path: &MethodPath) -> Result<MethodDescriptor, Error> {
    let service = service(caller, &path.service).await?;
    let found = service.methods().find(|method| method.name() == path.method);
    found.ok_or_else(|| {
        let all: Vec<_> = service.methods().map(|method| method.name().to_owned()).collect();
        let (service, method, all) = (&path.service, &path.method, all.join(", "));
        Status::not_found(format!("{service} has no method {method}, but {all}")).into()
    })
}

/// A method of grpc-hub's own services.
///
/// # Errors
/// INTERNAL if this is not one.
pub(crate) fn built_in_method(path: &str) -> Result<MethodDescriptor, Status> {
    match find(&built_in()?, &path.replace('/', ".")) {
        Some(Symbol::Method(method)) => Ok(method),
        _ => Err(Status::internal(format!("{path} is not built in"))),
    }
}

/// The service of this full name.
///
/// # Errors
/// NOT_FOUND if there is none, or what reflection met.
pub(crate) async fn service(caller: &Caller, name: &str) -> Result<ServiceDescriptor, Error> {
    match symbol(caller, name).await? {
        Symbol::Service(service) => Ok(service),
        _ => Err(Status::not_found(format!("{name} is no service")).into()),
    }
}

/// Whatever has this full name.
///
/// # Errors
/// NOT_FOUND if nothing has, or what reflection met.
pub(crate) async fn symbol(caller: &Caller, name: &str) -> Result<Symbol, Error> {
    if let Some(symbol) = find(&built_in()?, name) {
        return Ok(symbol);
    }
    let deadline = Some(caller.deadline());
    let pool = caller.within(deadline, fetch_around(caller, deadline, name)).await?;
    let unknown = || Status::not_found(format!("the server does not describe {name}"));
    Ok(find(&pool, name).ok_or_else(unknown)?)
}

/// The names of all services, sorted, as the server's reflection tells them.
///
/// # Errors
/// What reflection met.
pub(crate) async fn services(caller: &Caller) -> Result<Vec<String>, Error> {
    let deadline = Some(caller.deadline());
    let question = MessageRequest::ListServices("*".into());
    let ask = async { Ok(Reflection::open(caller, deadline, question).await?) };
    let (_, answer) = caller.within(deadline, ask).await?;
    let MessageResponse::ListServicesResponse(list) = answer else {
        return Err(unexpected(answer).into());
    };
    let mut names: Vec<String> = list.service.into_iter().map(|found| found.name).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// hub.v1, fluentd.v1 and grpc.health.v1: no round trip, and they work where reflection is missing.
fn built_in() -> Result<DescriptorPool, Status> {
    let broken = |error| Status::internal(format!("built-in descriptors: {error}"));
    DescriptorPool::decode(hub_proto::DESCRIPTORS).map_err(broken)
}

fn find(pool: &DescriptorPool, name: &str) -> Option<Symbol> {
    if let Some(service) = pool.get_service_by_name(name) {
        return Some(Symbol::Service(service));
    }
    if let Some(message) = pool.get_message_by_name(name) {
        return Some(Symbol::Message(message));
    }
    if let Some(found) = pool.get_enum_by_name(name) {
        return Some(Symbol::Enum(found));
    }
    let (service, method) = name.rsplit_once('.')?;
    let service = pool.get_service_by_name(service)?;
    let found = service.methods().find(|found| found.name() == method)?;
    Some(Symbol::Method(found))
}

/// As [`fetch`]; a server that does not know `symbol` is asked for what encloses it, because reflection in Python finds
/// everything but methods (`findings/python-reflection-no-methods.sh`).
async fn fetch_around(
    caller: &Caller,
    deadline: Option<Deadline>,
    symbol: &str,
) -> Result<DescriptorPool, Error> {
    match (fetch(caller, deadline, symbol).await, symbol.rsplit_once('.')) {
        (Err(Error::Status(status)), Some((parent, _))) if status.code() == Code::NotFound => {
            fetch(caller, deadline, parent).await.map_err(|_| status.into())
        }
        (fetched, _) => fetched,
    }
}

/// Asks for the file that declares `symbol` and for everything it imports, directly or not.
async fn fetch(
    caller: &Caller,
    deadline: Option<Deadline>,
    symbol: &str,
) -> Result<DescriptorPool, Error> {
    let question = MessageRequest::FileContainingSymbol(symbol.into());
    let opened = Reflection::open(caller, deadline, question).await;
    let (mut reflection, answer) = opened.map_err(|status| match status.code() {
        Code::NotFound => with_hint(&status, "`client list NAME` shows the services"),
        _ => status,
    })?;
    let mut files = Files::default();
    files.add(answer)?;
    // Some servers send all imports with the first answer, some only the file they were asked for.
    while let Some((import, importer)) = files.missing() {
        if let Some(known) = well_known(&import) {
            files.insert(known)?;
            continue;
        }
        let question = MessageRequest::FileByFilename(import.clone());
        let answer = reflection.ask(question).await.map_err(|status| {
            let text = format!("{import}, which {importer} imports: {}", status.message());
            Status::new(status.code(), text)
        })?;
        files.add(answer)?;
        if !files.has(&import) {
            return Err(Status::not_found(format!("the server does not send {import}")).into());
        }
    }
    files.into_pool()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hubs_own_services_are_built_in() {
        let pool = built_in().unwrap();
        for name in ["hub.v1.Hub", "hub.v1.Hub.ListClients", "hub.v1.EventType"] {
            assert!(find(&pool, name).is_some(), "{name}");
        }
        assert!(find(&pool, "hub.v1.Nothing").is_none());
    }
}

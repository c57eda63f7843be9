//! Where a call goes, from its head alone: no I/O, no clock.

use http2::fields::Fields;
use tunnel::name::Name;
use tunnel::wire;

use crate::message::refusal::{AnswerForm, BadName, Refusal};
use crate::services;

/// Where a call goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// To the agent of this name.
    Agent(Name),
    /// To the hub's own services.
    Own,
}

/// Chooses by `name`: with it to an agent, whatever the path; without it to the hub itself.
pub(crate) fn route(head: &Fields) -> Result<Route, Refusal> {
    if head.get(b":method") == Some(b"CONNECT") {
        return Err(Refusal::Connect);
    }
    let mut names = head.all(wire::NAME.as_bytes());
    match (names.next(), names.next()) {
        (None, _) if services::is_own(path(head)) => Ok(Route::Own),
        (None, _) => Err(Refusal::NoName),
        (Some(_), Some(_)) => Err(Refusal::BadName(BadName::Repeated)),
        (Some(name), None) => {
            let name = std::str::from_utf8(name).ok().filter(|name| name.is_ascii());
            let name = name.ok_or(Refusal::BadName(BadName::Bytes))?;
            name.parse()
                .map(Route::Agent)
                .map_err(|error| Refusal::BadName(BadName::Invalid(error)))
        }
    }
}

/// The path, without its query.
pub(crate) fn path(head: &Fields) -> &str {
    let target = head.get(b":path").and_then(|path| std::str::from_utf8(path).ok());
    target.unwrap_or_default().split('?').next().unwrap_or_default()
}

/// What kind of answer the client can take. gRPC is `application/grpc`, `application/grpc+proto` and the
/// like; what gRPC-Web sends is something else.
pub(crate) fn answer_form(head: &Fields) -> AnswerForm {
    let kind = head.get(b"content-type").unwrap_or_default();
    match kind.strip_prefix(b"application/grpc").map(|rest| rest.first()) {
        Some(None | Some(b'+' | b';')) => AnswerForm::Grpc,
        _ if head.get(b":method") == Some(b"HEAD") => AnswerForm::HttpHead,
        _ => AnswerForm::Http,
    }
}

#[cfg(test)]
mod tests {
    use http2::fields::Indexing;
    use tunnel::name::NameError;

    use super::*;

    fn head(fields: &[(&str, &[u8])]) -> Fields {
        let mut head = Fields::new();
        for (name, value) in fields {
            head.push(name.as_bytes(), value, Indexing::Without);
        }
        head
    }

    fn to(path: &str, names: &[&[u8]]) -> Result<Route, Refusal> {
        let names = names.iter().map(|name| ("name", *name));
        let fields: Vec<_> = [(":method", &b"POST"[..]), (":path", path.as_bytes())]
            .into_iter()
            .chain(names)
            .collect();
        route(&head(&fields))
    }

    #[test]
    fn routes() {
        let agent = Route::Agent("testserver".parse().expect("a name"));
        let bad = |why| Err(Refusal::BadName(why));
        assert_eq!(to("/hub.v1.Hub/ListClients", &[]), Ok(Route::Own));
        assert_eq!(to("/hub.v1.Hub/ListClients?a=/", &[]), Ok(Route::Own));
        assert_eq!(to("/grpc.health.v1.Health/Check", &[]), Ok(Route::Own));
        assert_eq!(to("/hub.v1.Hub/ListClients", &[b"testserver"]), Ok(agent));
        assert_eq!(to("/my.Service/Method", &[]), Err(Refusal::NoName));
        assert_eq!(to("/", &[]), Err(Refusal::NoName));
        assert_eq!(to("/x", &[b"a", b"a"]), bad(BadName::Repeated));
        assert_eq!(to("/x", &[b""]), bad(BadName::Invalid(NameError::Empty)));
        assert_eq!(to("/x", &["tür".as_bytes()]), bad(BadName::Bytes));
        assert_eq!(route(&head(&[(":method", b"CONNECT")])), Err(Refusal::Connect));
    }

    #[test]
    fn grpc_is_told_by_its_content_type() {
        for (kind, form) in [
            ("application/grpc", AnswerForm::Grpc),
            ("application/grpc+proto", AnswerForm::Grpc),
            ("application/grpc;charset=utf-8", AnswerForm::Grpc),
            ("application/grpc-web+proto", AnswerForm::Http),
            ("application/json", AnswerForm::Http),
        ] {
            let head = head(&[(":method", b"POST"), ("content-type", kind.as_bytes())]);
            assert_eq!(answer_form(&head), form, "{kind}");
        }
        assert_eq!(answer_form(&head(&[(":method", b"GET")])), AnswerForm::Http);
        assert_eq!(answer_form(&head(&[(":method", b"HEAD")])), AnswerForm::HttpHead);
    }
}

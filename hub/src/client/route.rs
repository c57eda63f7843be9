//! Where a call goes, from its head alone: no I/O, no clock.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Uri};
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
pub(crate) fn route(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Route, Refusal> {
    if method == Method::CONNECT {
        return Err(Refusal::Connect);
    }
    let mut names = headers.get_all(wire::NAME).into_iter();
    match (names.next(), names.next()) {
        (None, _) if services::is_own(uri.path()) => Ok(Route::Own),
        (None, _) => Err(Refusal::NoName),
        (Some(_), Some(_)) => Err(Refusal::BadName(BadName::Repeated)),
        (Some(name), None) => {
            let name = name.to_str().map_err(|_| Refusal::BadName(BadName::Bytes))?;
            name.parse()
                .map(Route::Agent)
                .map_err(|error| Refusal::BadName(BadName::Invalid(error)))
        }
    }
}

/// What kind of answer the client can take. gRPC is `application/grpc`, `application/grpc+proto` and the
/// like; what gRPC-Web sends is something else.
pub(crate) fn answer_form(method: &Method, headers: &HeaderMap) -> AnswerForm {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    match kind.strip_prefix(b"application/grpc").map(|rest| rest.first()) {
        Some(None | Some(b'+' | b';')) => AnswerForm::Grpc,
        _ if method == Method::HEAD => AnswerForm::HttpHead,
        _ => AnswerForm::Http,
    }
}

#[cfg(test)]
mod tests {
    use tunnel::name::NameError;

    use super::*;

    fn to(path: &'static str, names: &[&'static [u8]]) -> Result<Route, Refusal> {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append("name", HeaderValue::from_bytes(name).expect("a header value"));
        }
        route(&Method::POST, &Uri::from_static(path), &headers)
    }

    #[test]
    fn routes() {
        let agent = Route::Agent("testserver".parse().expect("a name"));
        let bad = |why| Err(Refusal::BadName(why));
        assert_eq!(to("/hub.v1.Hub/ListClients", &[]), Ok(Route::Own));
        assert_eq!(to("/grpc.health.v1.Health/Check", &[]), Ok(Route::Own));
        assert_eq!(to("/hub.v1.Hub/ListClients", &[b"testserver"]), Ok(agent));
        assert_eq!(to("/my.Service/Method", &[]), Err(Refusal::NoName));
        assert_eq!(to("/", &[]), Err(Refusal::NoName));
        assert_eq!(to("/x", &[b"a", b"a"]), bad(BadName::Repeated));
        assert_eq!(to("/x", &[b""]), bad(BadName::Invalid(NameError::Empty)));
        assert_eq!(to("/x", &["tür".as_bytes()]), bad(BadName::Bytes));
        let connect = route(&Method::CONNECT, &Uri::from_static("host:80"), &HeaderMap::new());
        assert_eq!(connect, Err(Refusal::Connect));
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
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
            assert_eq!(answer_form(&Method::POST, &headers), form, "{kind}");
        }
        assert_eq!(answer_form(&Method::GET, &HeaderMap::new()), AnswerForm::Http);
        assert_eq!(answer_form(&Method::HEAD, &HeaderMap::new()), AnswerForm::HttpHead);
    }
}

//! What kind of answer a caller can read, told by its request alone.

/// How the hub's own answers are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerForm {
    /// A gRPC status.
    Grpc,
    /// The same in the head, of this content type (gRPC-Web, PROTOCOL-WEB.md).
    GrpcWeb(&'static str),
    /// An HTTP status and a JSON object (Connect protocol, "Unary-Response").
    ConnectUnary,
    /// A frame that ends the stream, of this content type (Connect protocol, "Streaming-Response").
    ConnectStream(&'static str),
    /// An HTTP status and a sentence.
    Http,
    /// An HTTP status without a body: the answer to HEAD.
    HttpHead,
}

/// What gRPC-Web's callers say that they send, and the answer to each: `-text` is Base64, which a head has no use for.
const WEB: [(&[u8], &str); 6] = [
    (b"application/grpc-web", "application/grpc-web"),
    (b"application/grpc-web+proto", "application/grpc-web+proto"),
    (b"application/grpc-web+json", "application/grpc-web+json"),
    (b"application/grpc-web-text", "application/grpc-web-text"),
    (b"application/grpc-web-text+json", "application/grpc-web-text+json"),
    (b"application/grpc-web-text+proto", "application/grpc-web-text+proto"),
];
/// The same of Connect's, for streams.
const CONNECT: [(&[u8], &str); 2] = [
    (b"application/connect+proto", "application/connect+proto"),
    (b"application/connect+json", "application/connect+json"),
];

impl AnswerForm {
    /// By method, path with its query, content type, and whether a version of Connect's protocol is named.
    ///
    /// gRPC is `application/grpc`, `application/grpc+proto` and the like. Connect's unary calls look like any other HTTP: it
    /// is the version that tells, which its callers name by default, or `application/proto`, which nobody else sends.
    pub(crate) fn of(method: &[u8], target: &[u8], kind: &[u8], names_connect: bool) -> Self {
        if method == b"HEAD" {
            return Self::HttpHead;
        }
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let find = |known: &[(&[u8], &'static str)]| {
            known
                .iter()
                .find(|(asked, _)| asked.eq_ignore_ascii_case(kind))
                .map(|(_, answer)| *answer)
        };
        let is_grpc = kind.strip_prefix(b"application/grpc");
        if is_grpc.is_some_and(|rest| matches!(rest.first(), None | Some(b'+'))) {
            return Self::Grpc;
        }
        if let Some(kind) = find(&WEB) {
            return Self::GrpcWeb(kind);
        }
        if let Some(kind) = find(&CONNECT) {
            return Self::ConnectStream(kind);
        }
        let is_get = method == b"GET" && has_parameter(target, b"connect=v1");
        let is_stream = kind.starts_with(b"application/connect+");
        let is_post = method == b"POST" && (names_connect || kind == b"application/proto");
        if is_get || is_post && !is_stream { Self::ConnectUnary } else { Self::Http }
    }
}

fn has_parameter(target: &[u8], parameter: &[u8]) -> bool {
    let query = target.iter().position(|byte| *byte == b'?').map(|at| &target[at + 1..]);
    query.is_some_and(|query| query.split(|byte| *byte == b'&').any(|said| said == parameter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &str, target: &str, kind: &str, names_connect: bool) -> AnswerForm {
        AnswerForm::of(method.as_bytes(), target.as_bytes(), kind.as_bytes(), names_connect)
    }

    #[test]
    fn calls_are_told_by_their_content_type() {
        use AnswerForm::{ConnectStream, ConnectUnary, Grpc, GrpcWeb, Http};
        for (kind, names_connect, form) in [
            ("application/grpc", false, Grpc),
            ("application/grpc+proto", true, Grpc),
            ("application/grpc;charset=utf-8", false, Grpc),
            ("application/grpc-web+proto", false, GrpcWeb("application/grpc-web+proto")),
            ("application/grpc-web-text ; x=y", false, GrpcWeb("application/grpc-web-text")),
            ("Application/gRPC-Web+JSON", false, GrpcWeb("application/grpc-web+json")),
            ("application/connect+json", true, ConnectStream("application/connect+json")),
            ("application/connect+x", true, Http),
            ("application/json", true, ConnectUnary),
            ("application/proto", false, ConnectUnary),
            ("application/json", false, Http),
            ("application/grpcx", false, Http),
        ] {
            assert_eq!(of("POST", "/a.B/C", kind, names_connect), form, "{kind}");
        }
    }

    #[test]
    fn others_by_method_and_query() {
        use AnswerForm::{ConnectUnary, Http, HttpHead};
        for (method, target, kind, form) in [
            ("GET", "/a.B/C?encoding=json&connect=v1&message=", "", ConnectUnary),
            ("GET", "/connect=v1", "", Http),
            ("HEAD", "/", "", HttpHead),
            ("HEAD", "/a.B/C", "application/proto", HttpHead),
        ] {
            assert_eq!(of(method, target, kind, false), form, "{method} {target}");
        }
    }
}

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
const WEB: [(&[u8], &str); 4] = [
    (b"application/grpc-web", "application/grpc-web"),
    (b"application/grpc-web+proto", "application/grpc-web+proto"),
    (b"application/grpc-web-text", "application/grpc-web-text"),
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
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let find = |known: &[(&[u8], &'static str)]| {
            known.iter().find(|(asked, _)| *asked == kind).map(|(_, answer)| *answer)
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
        if kind == b"application/proto" || names_connect && method == b"POST" || is_get {
            return Self::ConnectUnary;
        }
        if method == b"HEAD" { Self::HttpHead } else { Self::Http }
    }
}

fn has_parameter(target: &[u8], parameter: &[u8]) -> bool {
    let query = target.iter().position(|byte| *byte == b'?').map(|at| &target[at + 1..]);
    query.is_some_and(|query| query.split(|byte| *byte == b'&').any(|said| said == parameter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_by_what_comes() {
        for (method, target, kind, names_connect, form) in [
            ("POST", "/a.B/C", "application/grpc", false, AnswerForm::Grpc),
            ("POST", "/a.B/C", "application/grpc+proto", true, AnswerForm::Grpc),
            ("POST", "/a.B/C", "application/grpc;charset=utf-8", false, AnswerForm::Grpc),
            (
                "POST",
                "/a.B/C",
                "application/grpc-web+proto",
                false,
                AnswerForm::GrpcWeb("application/grpc-web+proto"),
            ),
            (
                "POST",
                "/a.B/C",
                "application/grpc-web-text ; x=y",
                false,
                AnswerForm::GrpcWeb("application/grpc-web-text"),
            ),
            (
                "POST",
                "/a.B/C",
                "application/connect+json",
                true,
                AnswerForm::ConnectStream("application/connect+json"),
            ),
            ("POST", "/a.B/C", "application/json", true, AnswerForm::ConnectUnary),
            ("POST", "/a.B/C", "application/proto", false, AnswerForm::ConnectUnary),
            (
                "GET",
                "/a.B/C?encoding=json&connect=v1&message=",
                "",
                false,
                AnswerForm::ConnectUnary,
            ),
            ("POST", "/a.B/C", "application/json", false, AnswerForm::Http),
            ("POST", "/a.B/C", "application/grpcx", false, AnswerForm::Http),
            ("GET", "/connect=v1", "", false, AnswerForm::Http),
            ("HEAD", "/", "", false, AnswerForm::HttpHead),
        ] {
            let told = AnswerForm::of(
                method.as_bytes(),
                target.as_bytes(),
                kind.as_bytes(),
                names_connect,
            );
            assert_eq!(told, form, "{method} {target} {kind}");
        }
    }
}

//! Bodies as they pass through: frames of bytes, then perhaps trailers.

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Body as HttpBody;

/// Why a body ended before its end.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Any of them.
pub(crate) type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Of whatever kind it is.
pub(crate) fn boxed<B>(body: B) -> Body
where
    B: HttpBody<Data = Bytes, Error: Into<BodyError>> + Send + 'static,
{
    body.map_err(Into::into).boxed_unsync()
}

/// All of it.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    boxed(Full::new(bytes.into()))
}

/// Nothing.
pub(crate) fn empty() -> Body {
    boxed(Empty::new())
}

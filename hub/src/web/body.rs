//! Bodies as they pass through: frames of bytes, then perhaps trailers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// A request's, and whether it has broken off: that is its caller's doing, and not its server's.
pub(super) fn watched<B>(body: B) -> (Body, Arc<AtomicBool>)
where
    B: HttpBody<Data = Bytes, Error: Into<BodyError>> + Send + 'static,
{
    let is_broken = Arc::new(AtomicBool::new(false));
    let flag = is_broken.clone();
    let body = body.map_err(move |error| {
        flag.store(true, Ordering::Relaxed);
        error.into()
    });
    (body.boxed_unsync(), is_broken)
}

/// All of it.
pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    boxed(Full::new(bytes.into()))
}

/// Nothing.
pub(crate) fn empty() -> Body {
    boxed(Empty::new())
}

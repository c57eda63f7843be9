//! What the hub answers itself, as HTTP/2 says it.

use bytes::Bytes;
use http::HeaderMap;
use http2::fields::{Fields, Indexing};

use crate::message::form::AnswerForm;
use crate::message::refusal::Refusal;

/// A head, and the body that follows it.
pub(super) fn answer(refusal: &Refusal, form: AnswerForm) -> (Fields, Bytes) {
    let response = refusal.response(form);
    let mut fields = Fields::new();
    fields.push(b":status", response.status().as_str().as_bytes(), Indexing::Incremental);
    push(&mut fields, response.headers());
    (fields, refusal.body(form))
}

/// The trailers of a gRPC answer that has begun.
pub(super) fn trailers(refusal: &Refusal) -> Fields {
    let mut fields = Fields::new();
    push(&mut fields, &refusal.trailers());
    fields
}

fn push(fields: &mut Fields, headers: &HeaderMap) {
    for (name, value) in headers {
        // Messages differ from call to call: they are not worth a place in a table.
        let indexing =
            if name.as_str() == "grpc-message" { Indexing::Without } else { Indexing::Incremental };
        fields.push(name.as_str().as_bytes(), value.as_bytes(), indexing);
    }
}

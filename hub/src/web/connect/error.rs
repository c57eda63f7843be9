//! Errors as Connect says them.

use serde_json::{Map, Value, json};

use crate::message::connect::code_word;
use crate::web::outcome::Outcome;

/// The JSON object of an error.
pub(super) fn error(outcome: &Outcome) -> Value {
    let mut error = Map::new();
    error.insert("code".into(), code_word(outcome.code).into());
    if !outcome.message.is_empty() {
        error.insert("message".into(), outcome.message.clone().into());
    }
    let details: Vec<_> = outcome
        .details()
        .into_iter()
        .map(|detail| json!({"type": detail.kind, "value": detail.value}))
        .collect();
    if !details.is_empty() {
        error.insert("details".into(), details.into());
    }
    error.into()
}

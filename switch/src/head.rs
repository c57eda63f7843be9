//! Heads and trailers as they go on: what is between the client and the hub is taken off.

use http2::fields::{Field, Fields, Indexing};

/// Fields of this kind are between a client and the hub: nobody makes them up, and nobody behind sees them.
const OURS: &[u8] = b"hub-";

/// What a request says on a lane in place of what the client said.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite<'r> {
    /// `:scheme`: what the upstream's own transport is.
    pub scheme: &'r [u8],
    /// Replaces `:authority`, and takes `host` off with it.
    pub authority: Option<&'r [u8]>,
    /// `:authority` where the client sent neither it nor `host`.
    pub otherwise: &'r [u8],
    /// The lane leads to the hub itself: what is between it and a client stays.
    pub is_ours: bool,
}

/// Fields but for those of the hub.
pub(crate) fn stripped(fields: &Fields) -> impl Iterator<Item = Field<'_>> {
    answered(fields, false)
}

/// Fields of an answer: with those of the hub, if it is its own.
pub(crate) fn answered(fields: &Fields, is_own: bool) -> impl Iterator<Item = Field<'_>> {
    fields.iter().filter(move |field| is_own || !field.name.starts_with(OURS))
}

/// A request's head as its upstream gets it. An added `:authority` comes first: among themselves, the order of such
/// fields means nothing (RFC 9113 8.3).
pub(crate) fn forwarded<'f>(
    fields: &'f Fields,
    rewrite: &Rewrite<'f>,
) -> impl Iterator<Item = Field<'f>> {
    let rewrite = *rewrite;
    let authority = rewrite.authority.or_else(|| {
        let none = fields.get(b":authority").is_none();
        // Servers refuse a request without (RFC 9113 8.3.1); h2 does not even pass one on.
        none.then(|| fields.get(b"host").unwrap_or(rewrite.otherwise))
    });
    let added = authority.map(|value| field(b":authority", value));
    let rest = answered(fields, rewrite.is_ours).filter_map(move |field| match field.name {
        b":scheme" => Some(Field { value: rewrite.scheme, ..field }),
        b":authority" if authority.is_some() => None,
        // Servers may refuse a host that differs from :authority (RFC 9113 8.3.1).
        b"host" if rewrite.authority.is_some() => None,
        _ => Some(field),
    });
    added.into_iter().chain(rest)
}

fn field<'f>(name: &'static [u8], value: &'f [u8]) -> Field<'f> {
    Field { name, value, indexing: Indexing::Incremental }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(fields: &[(&str, &str)]) -> Fields {
        let mut list = Fields::new();
        for (name, value) in fields {
            list.push(name.as_bytes(), value.as_bytes(), Indexing::Without);
        }
        list
    }

    fn text<'f>(fields: impl Iterator<Item = Field<'f>>) -> Vec<String> {
        let line = |field: Field<'_>| {
            format!(
                "{}={}",
                String::from_utf8_lossy(field.name),
                String::from_utf8_lossy(field.value)
            )
        };
        fields.map(line).collect()
    }

    const REWRITE: Rewrite<'_> =
        Rewrite { scheme: b"https", authority: None, otherwise: b"name", is_ours: false };

    #[test]
    fn a_head_passes_but_for_what_the_agent_asked() {
        let head = list(&[
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/a.B/C"),
            (":authority", "a.test"),
            ("host", "a.test"),
            ("hub-token", "secret"),
            ("name", "x"),
        ]);
        let passed = [":method=POST", ":scheme=https", ":path=/a.B/C", ":authority=a.test"];
        assert_eq!(
            text(forwarded(&head, &REWRITE)),
            [&passed[..], &["host=a.test", "name=x"]].concat()
        );
        let other = Rewrite { authority: Some(b"b.test"), ..REWRITE };
        let passed = [":authority=b.test", ":method=POST", ":scheme=https", ":path=/a.B/C"];
        assert_eq!(text(forwarded(&head, &other)), [&passed[..], &["name=x"]].concat());
    }

    #[test]
    fn the_hub_itself_gets_what_is_its_own() {
        let head = list(&[(":method", "CONNECT"), (":authority", "a.test"), ("hub-name", "x")]);
        let passed = text(forwarded(&head, &Rewrite { is_ours: true, ..REWRITE }));
        assert_eq!(passed, [":method=CONNECT", ":authority=a.test", "hub-name=x"]);
    }

    #[test]
    fn a_head_without_authority_gets_one() {
        let head = |host: &[(&str, &str)]| {
            list(&[&[(":method", "GET"), (":scheme", "http"), (":path", "/")], host].concat())
        };
        let passed = text(forwarded(&head(&[]), &REWRITE));
        assert_eq!(passed[0], ":authority=name");
        let passed = text(forwarded(&head(&[("host", "h.test")]), &REWRITE));
        assert_eq!((&*passed[0], &*passed[4]), (":authority=h.test", "host=h.test"));
    }
}

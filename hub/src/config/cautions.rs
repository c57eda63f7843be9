//! What whoever starts a hub should know of how it is set up.

use crate::config::Config;
use crate::config::auth::Auth;
use crate::config::otlp::OtlpConfig;

/// A sentence each, for the log.
pub(crate) fn cautions(config: &Config) -> impl Iterator<Item = &'static str> {
    let (auth, tls) = (&config.keys.auth, config.keys.tls.is_some());
    let all = [
        (
            matches!(auth, Auth::Open),
            "no --auth-file: whoever reaches this port may register any name and call any name",
        ),
        (auth.is_shut(), "--auth-file lists no agents and no callers: nobody can register or call"),
        (
            matches!(auth, Auth::Tokens(_)) && !tls,
            "--auth-file without --tls: tokens cross the network in clear text, unless something in front speaks TLS",
        ),
        (
            config.otlp.as_ref().is_some_and(OtlpConfig::is_overheard),
            "--otlp-endpoint without https: names, methods and addresses of calls cross the network in clear text",
        ),
    ];
    all.into_iter().filter_map(|(is_so, sentence)| is_so.then_some(sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_others_can_read_are_told_of() {
        for (endpoint, is_told) in [
            ("http://collector.test:4317", true),
            ("https://collector.test:4317", false),
            ("http://localhost:4317", false),
        ] {
            let endpoint = endpoint.parse().expect("an endpoint");
            let otlp = Some(OtlpConfig::new(endpoint, None, 0.0).expect("good"));
            let config = Config { otlp, ..Config::default() };
            let mut cautions = cautions(&config);
            assert_eq!(cautions.any(|told| told.starts_with("--otlp-endpoint")), is_told);
        }
    }
}

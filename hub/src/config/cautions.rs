//! What whoever starts a hub should know of how it is set up.

use crate::config::Config;
use crate::config::auth::Auth;

/// A sentence each, for the log.
pub(crate) fn cautions(config: &Config) -> impl Iterator<Item = &'static str> {
    let (auth, tls) = (&config.keys.auth, config.keys.tls.is_some());
    let overheard = config.otlp.as_ref().filter(|otlp| otlp.is_overheard());
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
            overheard.is_some(),
            "--otlp-endpoint without https: names, methods and addresses of calls cross the network in clear text",
        ),
        (
            overheard.is_some_and(|otlp| !otlp.headers.map().is_empty()),
            "OTEL_EXPORTER_OTLP_HEADERS with --otlp-endpoint without https: the token in it crosses the network in clear text",
        ),
    ];
    all.into_iter().filter_map(|(is_so, sentence)| is_so.then_some(sentence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::otlp::OtlpConfig;

    #[test]
    fn spans_and_tokens_that_others_can_read_are_told_of() {
        for (endpoint, headers, told) in [
            ("http://collector.test:4317", "", &["--otlp-endpoint"][..]),
            (
                "http://collector.test:4317",
                "authorization=secret",
                &["--otlp-endpoint", "OTEL_EXPORTER_OTLP_HEADERS"],
            ),
            ("https://collector.test:4317", "authorization=secret", &[]),
            ("http://localhost:4317", "authorization=secret", &[]),
        ] {
            let headers = headers.parse().expect("headers");
            let otlp = Some(OtlpConfig { headers, ..OtlpConfig::plain(endpoint) });
            let config = Config { otlp, ..Config::default() };
            let about = cautions(&config).filter_map(|told| told.split(' ').next());
            let about: Vec<_> = about.filter(|word| word.to_lowercase().contains("otlp")).collect();
            assert_eq!(about, told, "{endpoint}");
        }
    }
}

//! Command lines, good and bad.

use tunnel::limits::NAMES_MAX;
use tunnel::tls::Trust;

use super::*;

fn parse(line: &str) -> Result<Args, clap::Error> {
    Args::from_line(line.split(' ').map(OsString::from))
}

#[test]
fn the_name_is_a_flag_or_an_argument_of_serve() {
    for line in ["agent --name a", "agent serve a"] {
        let args = parse(line).expect("good usage");
        assert_eq!(args.names, ["a".parse().expect("a name")]);
    }
}

#[test]
fn hubs_are_named_one_by_one_or_together() {
    for more in ["--hub-uri ws://a --hub-uri wss://b", "--hub-uri ws://a,wss://b"] {
        let args = parse(&format!("agent serve a {more}")).expect("good usage");
        let uris: Vec<_> = args.hub_uris.iter().map(ToString::to_string).collect();
        assert_eq!(uris, ["ws://a/ws", "wss://b/ws"]);
    }
}

/// What is behind each name: a word for each thing that is said of it.
fn behind(line: &str) -> Vec<String> {
    let args = parse(line).expect("good usage");
    let told = |Behind { name, upstream, authority, tls, .. }: Behind| {
        let upstream = upstream.map(|addr| addr.to_string());
        let authority = authority.map(|host| host.to_string());
        let insecure = (tls.trust == Trust::Anybody).then(|| "insecure".to_owned());
        let words = [Some(name.to_string()), upstream, authority, insecure];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    args.behind.into_iter().map(told).collect()
}

#[test]
fn what_is_said_behind_a_name_holds_for_that_name() {
    for (line, want) in [
        // Of one alone, wherever it stands.
        ("agent --upstream one:1 --name a", &["a http://one:1"][..]),
        (
            "agent --name a --upstream one:1 --name b --upstream two:2 --name c",
            &["a http://one:1", "b http://two:2", "c"],
        ),
        // Together, in their order.
        ("agent --name a,b --upstream one:1,two:2", &["a http://one:1", "b http://two:2"]),
        ("agent --name a,b --upstream one:1", &["a http://one:1", "b http://one:1"]),
        // Before the first it holds for all that say nothing else.
        (
            "agent --authority x --name a --upstream one:1 --name b --authority y",
            &["a http://one:1 x", "b y"],
        ),
        (
            "agent --name a --upstream https://one --name b --upstream https://two \
             --upstream-tls-insecure-skip-verify --name c --upstream two:2",
            &["a https://one:443", "b https://two:443 insecure", "c http://two:2"],
        ),
        (
            "agent --upstream-tls-insecure-skip-verify --name a --upstream one:1 --name b --upstream https://two",
            &["a http://one:1 insecure", "b https://two:443 insecure"],
        ),
        (
            "agent --upstream-tls-insecure-skip-verify --name a --upstream https://one --name b \
             --upstream https://two --upstream-tls-insecure-skip-verify=false",
            &["a https://one:443 insecure", "b https://two:443"],
        ),
    ] {
        assert_eq!(behind(line), want, "{line}");
    }
}

#[track_caller]
fn assert_bad(line: &str, word: &str) {
    let error = parse(line).expect_err("bad usage").to_string();
    assert!(error.contains(word), "{line}: {error}");
}

#[test]
fn bad_names_are_told() {
    let many: String = (0..=NAMES_MAX).map(|n| format!(" --name n{n}")).collect();
    for (line, word) in [
        ("agent", "--name"),
        ("agent status", "agent serve NAME"),
        ("agent --name A", "a-z"),
        ("agent serve a --name b", "given twice"),
        ("agent --name a --name b --name a", "\"a\" is given twice"),
        (&format!("agent{many}"), "at most 16 names"),
        (
            "agent serve a --upstream :1 --upstream :2",
            "--upstream is given twice for the name \"a\"",
        ),
        (
            "agent --name a --name b --upstream :1 --upstream :2",
            "--upstream is given twice for the name \"b\"",
        ),
        ("agent --name a,b,c --upstream one:1,two:2", "has 2 values for 3 names"),
        ("agent --name a,b --name c --upstream one:1", "give it once for each"),
        ("agent --name a --name b --upstream-alpn off", "of the name \"b\""),
        (
            "agent --upstream-alpn off --name a --upstream :1 --name b",
            "are for an upstream over TLS",
        ),
        (
            "agent --upstream https://x --upstream-tls-cert-file c --name a --name b --upstream-tls-key-file k",
            "go together, and the name \"a\"",
        ),
        (
            "agent --name a --upstream :1 --name b --upstream :2 --fluentd-command x",
            "cannot be used",
        ),
    ] {
        assert_bad(line, word);
    }
    for line in [
        "agent --name a --upstream :1 --name b --fluentd-command x",
        // What is so anyhow may be said of any.
        "agent --name a --upstream :1 --upstream-alpn on --upstream-tls-insecure-skip-verify=false",
        "agent --upstream-tls-ca-file f --name a --upstream https://x --name b --upstream :1 --upstream-alpn on",
    ] {
        parse(line).expect("good usage");
    }
}

#[test]
fn bad_usage_is_told() {
    for (rest, word) in [
        ("--hub-uri http://hub", "ws://"),
        ("--hub-uri ws://a,http://b", "ws://"),
        ("--keepalive-interval 99ms", "at least 100ms"),
        ("--keepalive-interval 61m", "at most 1h"),
        ("--max-session-age 900ms", "at least 1s"),
        ("--upstream 50051", "host:port"),
        ("--sessions 0", "1..=64"),
        ("--label zone", "KEY=VALUE, and this has no `=`"),
        ("--label =eu", "has no key"),
        ("--label zone=\u{fc}", "plain ASCII"),
        ("--fluentd-command 'x", "--fluentd-command"),
        ("--upstream :1 --fluentd-command x", "cannot be used with"),
    ] {
        assert_bad(&format!("agent serve a {rest}"), word);
    }
}

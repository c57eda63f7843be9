"""Values of the chart that are checked, what is refused, and which of them hubs are started with."""

from __future__ import annotations

from dataclasses import dataclass, field

SECRETS = {
    "tls": {"existingSecret": "hub-tls"},
    "auth": {"existingSecret": "hub-auth", "key": "who.toml"},
}
PEER_TLS = {"peers": {"tls": {"existingSecret": "hubs-tls"}}}
ETCD = {"directory": {"uri": "etcd://etcd-0.etcd:2379,etcd-1.etcd:2379?prefix=/hubs"}}
# A test waits for it at each end.
AT_ONCE = {"shutdownDelaySeconds": 0}
DIGEST = "sha256:" + 64 * "0"


@dataclass
class Case:
    """Values, and what has to be among the hub's flags with them, or must not."""

    title: str
    values: dict
    has: list = field(default_factory=list)
    has_not: list = field(default_factory=list)
    # Whether three hubs are started so.
    starts: bool = False


CASES = [
    Case(
        "as it comes",
        {},
        ["--peers=", "--peer-token-file=", "--shutdown-delay=10s", "--drain-timeout=30s"],
        ["--tls", "--auth-file=", "--directory=", "--peer-address="],
    ),
    Case("without a delay", AT_ONCE, ["--peers="], starts=True),
    Case(
        "TLS and an auth file",
        {**AT_ONCE, **SECRETS, **PEER_TLS},
        ["--tls", "--auth-file=/etc/grpc-hub/auth/who.toml", "--peer-tls-ca-file=", "--peers="],
        starts=True,
    ),
    Case(
        "certificates in place of a token",
        {**AT_ONCE, "peers": {"token": {"enabled": False}, **PEER_TLS["peers"]}},
        ["--peer-tls-ca-file="],
        ["--peer-token-file="],
        starts=True,
    ),
    Case(
        "an etcd",
        {**AT_ONCE, **ETCD},
        ["--directory=etcd://", "--peer-address=[$(POD_IP)]:8082"],
        ["--peers="],
        starts=True,
    ),
    Case(
        "an etcd with all that may be said of it",
        {
            **PEER_TLS,
            "directory": {
                "uri": "etcds://etcd:2379",
                "user": {"existingSecret": "etcd-user", "key": "hubs"},
                "tls": {"existingSecret": "etcd-tls", "clientCertificate": True},
            },
        },
        [
            "--directory-user-file=/etc/grpc-hub/directory-user/hubs",
            "--directory-tls-key-file=",
            "--peer-address=$(POD_NAME).",
        ],
        ["--peers="],
    ),
    Case(
        "all the rest",
        {
            "replicas": 2,
            "fullnameOverride": "a-name-that-is-much-longer-than-what-a-label-of-a-pod-may-be",
            "image": {
                "repository": "registry.example/hub",
                "tag": "1",
                "pullSecrets": [{"name": "registry"}],
            },
            "auth": {"toml": '[[callers]]\nid = "all"\n'},
            "peers": {"token": {"existingSecret": "shared", "key": "secret"}, "listed": 5},
            "maxConnectionAge": "1h30m",
            "proxyProtocol": ["10.0.0.0/8", "192.0.2.1"],
            "trustedProxies": ["fd00::/8"],
            "logFormat": "json",
            "extraArgs": [
                "--park-timeout=10s",
                "--workers=4",
                "--log-filter=warn,hub=debug",
                "--public-uri=wss://$(POD_NAME).example/ws",
                "--peers=hub.example:8082",
            ],
            "extraEnv": [
                {"name": "RUST_BACKTRACE", "value": "1"},
                {"name": "HUB_MAX_CALLS", "value": "100"},
            ],
            "service": {
                "type": "LoadBalancer",
                "port": 443,
                "agentsPort": 8443,
                "annotations": {"example.com/balancer": "tcp"},
                "loadBalancerClass": "example.com/tcp",
                "loadBalancerSourceRanges": ["192.0.2.0/24"],
                "externalTrafficPolicy": "Local",
            },
            "monitoring": {
                "serviceMonitor": {
                    "enabled": True,
                    "interval": "15s",
                    "labels": {"release": "prometheus"},
                }
            },
            "networkPolicy": {"enabled": True, "adminFrom": [{"namespaceSelector": {}}]},
            "podDisruptionBudget": {"maxUnavailable": "50%"},
            "serviceAccount": {"name": "hubs", "annotations": {"example.com/a": "b"}},
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "edge", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "high",
            "podAnnotations": {"prometheus.io/scrape": "true"},
            "podLabels": {"team": "edge"},
        },
        [
            "--max-connection-age=1h30m",
            "--auth-file=/etc/grpc-hub/auth/auth.toml",
            "--workers=4",
            "--public-uri=wss://$(POD_NAME).example/ws",
            "--peers=hub.example:8082",
        ],
    ),
    Case(
        "as little as can be",
        {
            "replicas": 1,
            "image": {"digest": DIGEST},
            "serviceAccount": {"create": False},
            "podDisruptionBudget": {"enabled": False},
            "topologySpreadConstraints": [],
        },
    ),
]

# What is refused, and a word of the refusal.
REFUSED = [
    ({"replica": 3}, "replica"),
    ({"replicas": 0}, "replicas"),
    ({"logFormat": "xml"}, "logFormat"),
    ({"drainTimeoutSeconds": "30s"}, "drainTimeoutSeconds"),
    ({"image": {"tag": DIGEST}}, "tag"),
    ({"image": {"digest": "1"}}, "digest"),
    ({"image": {"tag": "1", "digest": DIGEST}}, "one of them"),
    ({"extraArgs": ["workers 4"]}, "extraArgs"),
    ({"extraArgs": ["--drain-timeout=5m"]}, "--drain-timeout is the chart's own"),
    ({**SECRETS, "extraArgs": ["--workers=4", "--tls"]}, "--tls is the chart's own"),
    ({"extraEnv": [{"name": "HUB_PEERS", "value": "a:1"}]}, "HUB_PEERS does nothing"),
    (
        {**ETCD, "extraEnv": [{"name": "HUB_PEER_ADDRESS", "value": "a:1"}]},
        "HUB_PEER_ADDRESS does nothing",
    ),
    ({"directory": {"uri": "consul://a"}}, "uri"),
    ({"peers": {"token": {"enabled": False}}}, "peers.tls.existingSecret"),
    (
        {"peers": {"token": {"enabled": False, "existingSecret": "a"}, **PEER_TLS["peers"]}},
        "peers.token.enabled",
    ),
    ({"peers": {"token": {"key": "a"}}}, "peers.token.existingSecret"),
    ({**ETCD, "peers": {"listed": 5}}, "peers.listed does nothing"),
    ({"auth": {"existingSecret": "a", "toml": "b"}}, "one of them"),
    ({"auth": {"key": "a", "toml": "b"}}, "auth.existingSecret"),
    ({"directory": {"user": {"existingSecret": "a"}}}, "directory.uri"),
    (
        {**ETCD, "directory": {**ETCD["directory"], "user": {"key": "a"}}},
        "directory.user.existingSecret",
    ),
    (
        {**ETCD, "directory": {**ETCD["directory"], "tls": {"clientCertificate": True}}},
        "directory.tls.existingSecret",
    ),
    ({"networkPolicy": {"adminFrom": [{"namespaceSelector": {}}]}}, "networkPolicy.enabled"),
    ({"serviceAccount": {"create": False, "annotations": {"a": "b"}}}, "serviceAccount.create"),
]

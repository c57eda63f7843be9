"""Envoy's configuration as the two ends of a reverse tunnel."""

from __future__ import annotations

# Envoy's names for the two ends.
NODE, TUNNEL = "inside", "outside"


def proto(name, **fields):
    """A message by its type."""
    return {"@type": f"type.googleapis.com/{name}", **fields}


def socket_address(port, host="127.0.0.1", **more):
    """An address."""
    return {"socket_address": {"address": host, "port_value": port, **more}}


def cluster_at(name, port, **more):
    """A cluster of one server."""
    endpoint = {"endpoint": {"address": socket_address(port)}}
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}
    return {"name": name, "type": "STATIC", "load_assignment": assignment, **more}


def http2_only():
    """A cluster that is spoken to by HTTP/2."""
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http2 = {"explicit_http_config": {"http2_protocol_options": {}}}
    return {options: proto(options, **http2)}


def routed_to(cluster):
    """A filter chain that sends every request to one cluster."""
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = proto("envoy.extensions.filters.http.router.v3.Router")
    route = {"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "0s"}}
    host = {"name": "all", "domains": ["*"], "routes": [route]}
    config = proto(
        manager,
        stat_prefix="http",
        codec_type="AUTO",
        route_config={"virtual_hosts": [host]},
        http_filters=[{"name": "envoy.filters.http.router", "typed_config": router}],
    )
    return [{"filters": [{"name": "http", "typed_config": config}]}]


def outside(port, tunnel):
    """Envoy where the callers are: takes the tunnel, and sends requests into it."""
    extension = "envoy.extensions.bootstrap.reverse_tunnel.upstream_socket_interface.v3"
    accepts = proto("envoy.extensions.filters.network.reverse_tunnel.v3.ReverseTunnel")
    reverse = "envoy.extensions.clusters.reverse_connection.v3.ReverseConnectionClusterConfig"
    cluster = {
        "name": "tunnels",
        "lb_policy": "CLUSTER_PROVIDED",
        "connect_timeout": "10s",
        "cluster_type": {
            "name": "envoy.clusters.reverse_connection",
            "typed_config": proto(reverse, cleanup_interval="60s", host_id_format=NODE),
        },
        "typed_extension_protocol_options": http2_only(),
    }
    accept = {"name": "envoy.filters.network.reverse_tunnel", "typed_config": accepts}
    tunnels = {
        "name": "tunnels",
        "address": socket_address(tunnel),
        "filter_chains": [{"filters": [accept]}],
    }
    callers = {
        "name": "callers",
        "address": socket_address(port),
        "filter_chains": routed_to("tunnels"),
    }
    return {
        "node": {"id": TUNNEL, "cluster": TUNNEL},
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.reverse_tunnel.upstream_socket_interface",
                "typed_config": proto(f"{extension}.UpstreamReverseConnectionSocketInterface"),
            }
        ],
        "static_resources": {"listeners": [tunnels, callers], "clusters": [cluster]},
    }


def inside(tunnel, upstream):
    """Envoy beside the server: dials the tunnel, and passes on what comes by it."""
    extension = "envoy.extensions.bootstrap.reverse_tunnel.downstream_socket_interface.v3"
    address = f"rc://{NODE}:{NODE}:tenant@{TUNNEL}:1"
    dials = {
        "name": "dials",
        "listener_filters_timeout": "0s",
        "address": socket_address(0, address, resolver_name="envoy.resolvers.reverse_connection"),
        "filter_chains": routed_to("server"),
    }
    server = cluster_at("server", upstream, typed_extension_protocol_options=http2_only())
    return {
        "node": {"id": NODE, "cluster": NODE},
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.reverse_tunnel.downstream_socket_interface",
                "typed_config": proto(f"{extension}.DownstreamReverseConnectionSocketInterface"),
            }
        ],
        "static_resources": {"listeners": [dials], "clusters": [cluster_at(TUNNEL, tunnel), server]},
    }

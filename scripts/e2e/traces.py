"""Spans of calls, as a real OpenTelemetry Collector gets them: docs/traces.md tells of them."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field

from grpcurl import ECHO, SCHEMA
from harness import TOOLS, check, command, eventually, free_ports, logged, succeed

PROGRAM = TOOLS / "bin/collector"
INSTALLER = "scripts/e2e/collector/install.sh"
# Spans wait for others for so long, where five seconds are usual; and what a hub says of itself.
PLACE = "deployment.environment.name"
SOON = ("OTEL_BSP_SCHEDULE_DELAY=50", f"OTEL_RESOURCE_ATTRIBUTES={PLACE}=test")
# From the end of a call to when the collector shows its span, on a busy machine.
SHOWN_WITHIN_S = 20
# What the hub says once, and what it says when that is over.
LOST = "the collector does not take spans: they are lost"
AGAIN = "the collector takes spans again"
PARENT = "b7ad6b7169203331"


@dataclass
class Span:
    """A span as the collector shows it."""

    # `Trace ID`, `Kind` and so on.
    fields: dict = field(default_factory=dict)
    # Each as its type and its value: `Str(grpc)`.
    attributes: dict = field(default_factory=dict)
    events: list = field(default_factory=list)

    def text(self, key):
        """An attribute that is text."""
        shown = self.attributes.get(key, "")
        check(shown.startswith("Str("), f"{key} is {shown or 'missing'} in {self}")
        return shown[len("Str(") : -1]


class Collector:
    """A collector, which writes what it gets into its log. It is started by `start`."""

    def __init__(self, world, tls=False, limit_mib=None):
        self.world, self.tls, self.limit_mib = world, tls, limit_mib
        (self.port,) = free_ports(1)
        self.process = None

    @property
    def flags(self):
        """A hub's, to send spans here."""
        if not self.tls:
            return "--otlp-endpoint", f"http://127.0.0.1:{self.port}"
        return "--otlp-endpoint", f"https://localhost:{self.port}"

    def start(self):
        """Starts it, once more where it has ended."""
        config = self.world.logs / f"collector-{self.port}.json"
        config.write_text(json.dumps(self.config()))
        self.process = self.world.start("collector", [PROGRAM, f"--config={config}"])
        ready = re.compile(".*Everything is ready").match
        self.process.wait_for(ready, "it is ready")

    def config(self):
        """What a person would write, as far as the cases differ from it; JSON is YAML."""
        grpc = {"endpoint": f"127.0.0.1:{self.port}"}
        if self.tls:
            _, cert, _, key = self.world.certificate()
            grpc["tls"] = {"cert_file": str(cert), "key_file": str(key)}
        processors = {"batch": {"timeout": "50ms"}}
        if self.limit_mib:
            limiter = {"check_interval": "100ms", "limit_mib": self.limit_mib}
            processors = {"memory_limiter": limiter, **processors}
        pipeline = {"receivers": ["otlp"], "processors": list(processors), "exporters": ["debug"]}
        return {
            "receivers": {"otlp": {"protocols": {"grpc": grpc}}},
            "processors": processors,
            "exporters": {"debug": {"verbosity": "detailed", "use_internal_logger": False}},
            "service": {"pipelines": {"traces": pipeline}},
        }

    def spans(self):
        """All that it has shown so far."""
        return parsed(self.process.lines())

    def span(self, trace):
        """The one of this trace, once it is there."""

        def probe():
            return [span for span in self.spans() if span.fields["Trace ID"] == trace]

        eventually(probe, f"{trace} at the collector", SHOWN_WITHIN_S)
        # Now it is shown to its end.
        (span,) = probe()
        return span


def parsed(lines):
    """The spans that an exporter named `debug` has told of."""
    spans, part = [], None
    for line in lines:
        if re.match(r"^Span #\d+$", line):
            spans.append(Span())
            part = "fields"
        elif re.match(r"^(ResourceSpans|ScopeSpans) #\d+$", line) or line.startswith("{"):
            part = None
        elif part and re.match(r"^(Attributes|Events):$", line):
            part = line[:-1].lower()
        elif part == "fields" and (found := re.match(r"^    (\S.*?) *: (.*)$", line)):
            spans[-1].fields[found[1]] = found[2]
        elif part == "attributes" and (found := re.match(r"^     -> (\S+): (.*)$", line)):
            spans[-1].attributes[found[1]] = found[2]
        elif part == "events" and (found := re.match(r"^     -> Name: (.*)$", line)):
            spans[-1].events.append(found[1])
    return spans


@contextmanager
def traced(world, collector, *flags):
    """A hub that sends spans there, and the route to a server through it."""
    with world.own_hub("h2c", *collector.flags, *flags, variables=SOON) as hub:
        yield hub, world.through(hub, "go")


def call(route, trace, flags="01", method="Unary", data="{}"):
    """A call below a span of its caller's; returns whether it went well."""
    header = "-H", f"traceparent: 00-{trace}-{PARENT}-{flags}"
    argv = route.grpcurl(f"{ECHO}/{method}", flags=(*header, *SCHEMA), data=data)
    return command(*argv).returncode == 0


def trace_id(number):
    """A trace's."""
    return f"{number:032x}"


def said(hub, message):
    """The lines of the hub's log with this message. When it has ended, that is all of them."""
    return [fields for fields in map(logged(message), hub.process.lines()) if fields]


# === what arrives ===


def recorded(world, _hub):
    """A call that its caller records has a span with all that is known of it; another has none."""
    collector = Collector(world)
    collector.start()
    with traced(world, collector) as (hub, route):
        check(call(route, trace_id(1), "00"), "the first call fails")
        check(call(route, trace_id(2)), "the second call fails")
        span = collector.span(trace_id(2))
        traces = [span.fields["Trace ID"] for span in collector.spans()]
        check(traces == [trace_id(2)], f"spans of {traces}")
        wanted = {"Parent ID": PARENT, "Name": f"{ECHO}/Unary", "Kind": "Server"}
        wanted |= {"Status code": "Unset", "DroppedAttributesCount": "0"}
        told = {key: span.fields.get(key) for key in wanted}
        check(told == wanted, f"it is {span}")
        wanted = {"rpc.system": "grpc", "rpc.service": ECHO, "rpc.method": "Unary"}
        wanted |= {"hub.name": "go", "hub.kind": "unary", "client.address": "127.0.0.1"}
        told = {key: span.text(key) for key in wanted}
        check(told == wanted, f"it says {span.attributes}")
        check(span.attributes["rpc.grpc.status_code"] == "Int(0)", f"{span.attributes}")
        told = span.text("hub.agent"), span.text("hub.session")
        agents = [(line["instance"], line["session"]) for line in said(hub, "registered")]
        check(told in agents, f"it went to {told}, and there are {agents}")
        check(re.match(r"^\d+$", span.text("hub.lane")), f"{span.attributes}")
        check(span.events == ["sent", "head"], f"{span.events}")
        shown = collector.process.lines()
        for key, value in (("service.name", "grpc-hub"), (PLACE, "test")):
            check(f"     -> {key}: Str({value})" in shown, f"nobody says that {key} is {value}")


def begun(world, _hub):
    """Calls that say nothing of a trace begin one, if a hub is told to have them do so."""
    collector = Collector(world)
    collector.start()
    with traced(world, collector, "--trace-sample", "1") as (_, route):
        succeed(*route.grpcurl(f"{ECHO}/Unary", flags=SCHEMA, data="{}"))

        def probe():
            return [span for span in collector.spans() if span.text("hub.name") == "go"]

        eventually(probe, "the span", SHOWN_WITHIN_S)
        (span,) = probe()
        check(re.match("^[0-9a-f]{32}$", span.fields["Trace ID"]), f"the trace of {span}")
        check(span.fields["Parent ID"] == "", f"the parent of {span}")


def passed_on(world, _hub):
    """The server is told of the caller's span, and of none of the hub's."""
    collector = Collector(world)
    collector.start()
    with world.own_hub("h2c", *collector.flags, "--trace-sample", "1", variables=SOON) as hub:
        route = world.through(hub, "plain")
        for trace in (f"00-{trace_id(1)}-{PARENT}-01", f"00-{trace_id(2)}-{PARENT}-00", None):
            argv = ["curl", "-sS", "--http2-prior-knowledge", "-H", "name: plain"]
            argv += ["-H", f"traceparent: {trace}"] if trace else []
            told = json.loads(succeed(*argv, f"http://{route.target}/"))["headers"]
            told = told.get("Traceparent")
            check(told == ([trace] if trace else None), f"{trace} comes as {told}")
        span = collector.span(trace_id(1))
        check(span.attributes["http.response.status_code"] == "Int(200)", f"{span.attributes}")


def failed(world, _hub):
    """A call that fails is an error: a server's, and the hub's own, which says why."""
    collector = Collector(world)
    collector.start()
    # Who is unknown is not waited for.
    with traced(world, collector, "--park-timeout", "0s") as (_, route):
        check(not call(route, trace_id(1), method="Fail", data='{"code": 13}'), "it succeeds")
        route.name = "nobody-here"
        check(not call(route, trace_id(2)), "it succeeds")
        server, hub = collector.span(trace_id(1)), collector.span(trace_id(2))
        for span, code, word in ((server, 13, "INTERNAL"), (hub, 14, "UNAVAILABLE")):
            told = [span.fields["Status code"], span.attributes["rpc.grpc.status_code"]]
            check(told == ["Error", f"Int({code})"], f"{told} in {span}")
            check(word in span.fields["Status message"].upper(), f"{span.fields}")
        check("hub.reason" not in server.attributes, f"{server.attributes}")
        check(hub.text("hub.reason") == "unknown-name", f"{hub.attributes}")


def at_the_end(world, _hub):
    """A hub that ends sends what it has."""
    collector = Collector(world)
    collector.start()
    with world.own_hub("h2c", *collector.flags) as hub:
        check(call(world.through(hub, "go"), trace_id(1)), "the call fails")
    collector.span(trace_id(1))


# === when it does not ===


def late(world, _hub):
    """Nobody is there at first: calls go on, the log says it once. Later calls' spans arrive."""
    collector = Collector(world)
    with traced(world, collector) as (hub, route):
        check(call(route, trace_id(1)), "the first call fails")
        lost = hub.process.wait_for(logged(LOST), "it says that a span is lost")
        check("refused" in lost["error"].lower(), f"it says {lost}")
        collector.start()
        check(call(route, trace_id(2)), "the second call fails")
        collector.span(trace_id(2))
        hub.process.wait_for(logged(AGAIN), "it says that this is over")
        collector.process.stop()
        collector.start()
        check(call(route, trace_id(3)), "the third call fails")
        collector.span(trace_id(3))
        check(lost["spans"] == 1 and dropped(hub) == 1, f"{dropped(hub)} are lost, it says {lost}")
    check(len(said(hub, LOST)) == 1, f"it says {said(hub, LOST)}")
    check(len(said(hub, AGAIN)) == 1, f"it says {said(hub, AGAIN)}")


def by_tls(world, _hub):
    """A collector with a certificate, and a hub that knows who has signed it."""
    collector = Collector(world, tls=True)
    collector.start()
    with traced(world, collector, "--otlp-tls-ca-file", world.ca) as (_, route):
        check(call(route, trace_id(1)), "the call fails")
        collector.span(trace_id(1))


def stranger(world, _hub):
    """A hub that does not know who has signed it sends nothing, and says so once."""
    collector = Collector(world, tls=True)
    collector.start()
    lost = refusal(world, collector)
    check("certificate" in lost["error"], f"it says {lost}")
    check(collector.spans() == [], "it has got a span")


def full(world, _hub):
    """A collector that is short of memory refuses what comes, and the hub's log has its words."""
    collector = Collector(world, limit_mib=1)
    collector.start()
    refuses = re.compile(".*Refusing data").match
    collector.process.wait_for(refuses, "it is short of memory")
    lost = refusal(world, collector)
    check("memory" in lost["error"], f"it says {lost}")


def in_clear(world, _hub):
    """A collector that wants TLS gets nothing from a hub that knows of none, which says so."""
    collector = Collector(world, tls=True)
    collector.start()
    collector.tls = False
    refusal(world, collector)


def refusal(world, collector):
    """What a hub says whose spans are not taken: once, though each call has one. Calls go on."""
    calls = 5
    with traced(world, collector) as (hub, route):
        for number in range(calls):
            check(call(route, trace_id(number + 1)), f"call {number + 1} fails")
        lost = hub.process.wait_for(logged(LOST), "it says that spans are lost")
        eventually(lambda: dropped(hub) == calls, "all spans are counted as lost", SHOWN_WITHIN_S)
    check(len(said(hub, LOST)) == 1, f"it says {said(hub, LOST)}")
    return lost


def dropped(hub):
    """How many spans the hub has lost."""
    text = succeed("curl", "-sS", f"http://{hub.admin}/metrics")
    return int(re.search(r"^hub_spans_dropped_total (\d+)$", text, re.M)[1])


def overheard(world, _hub):
    """A hub whose spans or token others could read says so when it starts; on its own machine none
    can. An empty variable hides no other."""
    headers = "OTEL_EXPORTER_OTLP_TRACES_HEADERS=", "OTEL_EXPORTER_OTLP_HEADERS=a=a-secret"
    for host, variables, count in (
        ("collector.test", (), 1),
        ("collector.test", headers, 2),
        ("127.0.0.1", headers, 0),
    ):
        flags = "--otlp-endpoint", f"http://{host}:4317"
        with world.own_hub("h2c", *flags, variables=variables) as hub:
            if count:
                warns = re.compile(".*--otlp-endpoint without https: names").match
                hub.process.wait_for(warns, "it warns")
        told = [line for line in hub.process.lines() if "--otlp-endpoint" in line]
        check(len(told) == count, f"{host} with {variables}: it says {told}")
        check("a-secret" not in "".join(hub.process.lines()), "it tells of the token")


def no_headers(world, _hub):
    """A hub that is told nonsense for a collector does not start, and does not say what it was."""
    argv = ["env", "OTEL_EXPORTER_OTLP_HEADERS=a-secret", world.bin / "hub"]
    argv += ["--listen", "127.0.0.1:0", "--otlp-endpoint", "http://127.0.0.1:4317"]
    done = command(*argv)
    words = done.stdout + done.stderr
    check(done.returncode != 0 and "OTEL_EXPORTER_OTLP_HEADERS" in words, f"it says {words}")
    check("a-secret" not in words, f"it says {words}")


CASES = {
    "recorded": recorded,
    "begun": begun,
    "passed-on": passed_on,
    "failed": failed,
    "at-the-end": at_the_end,
    "late": late,
    "tls": by_tls,
    "stranger": stranger,
    "full": full,
    "in-clear": in_clear,
    "overheard": overheard,
    "no-headers": no_headers,
}

"""What grpcurl shows a person: a server by name, and the hub's own services."""

from __future__ import annotations

import base64
import json
import re

from harness import PROTO, Route, check, command, eventually, succeed

ECHO = "e2e.v1.Echo"
# Makes grpcurl take the schema from the file, so that a call is the only call it makes.
SCHEMA = ("-import-path", PROTO, "-proto", "e2e/v1/echo.proto")


def documents(text):
    """The JSON documents that a text consists of, one after the other."""
    decoder, at, found = json.JSONDecoder(), 0, []
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        document, at = decoder.raw_decode(text, at)
        found.append(document)
    return found


def call(route, method, *messages):
    """Calls a method with JSON messages and returns the answers."""
    data = "".join(map(json.dumps, messages))
    return documents(succeed(*route.grpcurl(method, data=data)))


# === a server by name ===


def list_services(route):
    services = succeed(*route.grpcurl("list")).split()
    check({ECHO, "grpc.health.v1.Health"} <= set(services), f"it lists {services}")
    methods = succeed(*route.grpcurl("list", ECHO)).split()
    check(f"{ECHO}.Bidi" in methods, f"it lists {methods}")


def describe(route):
    text = succeed(*route.grpcurl("describe", ECHO))
    check("rpc Bidi ( stream .e2e.v1.Message ) returns ( stream .e2e.v1.Message );" in text, text)


def unary(route):
    message = {"text": "grüezi", "payload": base64.b64encode(bytes(range(256))).decode()}
    answers = call(route, f"{ECHO}/Unary", message)
    check(answers == [message], f"it answers {answers}")


def client_stream(route):
    answers = call(route, f"{ECHO}/ClientStream", *[{"payload": "AAEC"}] * 5)
    check(answers[0]["messages"] == "5" and answers[0]["bytes"] == "15", f"it answers {answers}")


def server_stream(route):
    answers = call(route, f"{ECHO}/ServerStream", {"messages": 5, "size": 100})
    sizes = [len(base64.b64decode(answer["payload"])) for answer in answers]
    check(sizes == [100] * 5, f"it answers with {sizes} bytes")


def bidi(route):
    messages = [{"text": f"round {number}"} for number in range(5)]
    answers = call(route, f"{ECHO}/Bidi", *messages)
    check(answers == messages, f"it answers {answers}")


def error_details(route):
    failed = command(*route.grpcurl(f"{ECHO}/Fail", data='{"code": 9, "message": "not yet"}'))
    shown = failed.stdout + failed.stderr
    check(failed.returncode == 64 + 9, f"it exits with {failed.returncode}: {shown}")
    for want in (
        "Code: FailedPrecondition",
        "Message: not yet",
        "google.rpc.ErrorInfo",
        "google.rpc.BadRequest",
    ):
        check(want in shown, f"{want!r} is not in: {shown}")


def health(route):
    for service in ("", ECHO):
        answers = call(route, "grpc.health.v1.Health/Check", {"service": service})
        check(answers == [{"status": "SERVING"}], f"{service!r} is {answers}")


UPSTREAM_CASES = {
    "list": list_services,
    "describe": describe,
    "unary": unary,
    "client-stream": client_stream,
    "server-stream": server_stream,
    "bidi": bidi,
    "error-details": error_details,
    "health": health,
}


# === the hub itself ===


def to(hub, name=None):
    """The route to the hub's own services, or to a name that need not exist."""
    return Route(hub.target, name, hub.ca, [hub.process])


def hub_list(world, hub):
    services = set(succeed(*to(hub).grpcurl("list")).split())
    missing = {"hub.v1.Hub", "hub.v1.Activity", "grpc.health.v1.Health"} - services
    check(not missing, f"{missing} are not among {services}")


def hub_describe(world, hub):
    text = succeed(*to(hub).grpcurl("describe", "hub.v1.Hub"))
    check("rpc ListClients (" in text, text)


def hub_list_clients(world, hub):
    world.through(hub, "go")
    clients = call(to(hub), "hub.v1.Hub/ListClients")[0]["clients"]
    client = next((one for one in clients if one["name"] == "go"), None)
    check(client, f"the agent is not among {clients}")
    missing = {"instance", "sessions", "remoteAddress", "agentVersion", "connectedSince"} - set(
        client
    )
    check(not missing, f"{missing} are missing in {client}")


def hub_health(world, hub):
    world.through(hub, "go")
    for service in ("", "go"):
        answers = call(to(hub), "grpc.health.v1.Health/Check", {"service": service})
        check(answers == [{"status": "SERVING"}], f"{service!r} is {answers}")


def hub_health_list(world, hub):
    """By reflection alone, which knows the method."""
    world.through(hub, "go")
    text = succeed(*to(hub).grpcurl("describe", "grpc.health.v1.Health"))
    check("rpc List (" in text, text)
    statuses = call(to(hub), "grpc.health.v1.Health/List")[0]["statuses"]
    serving = {"status": "SERVING"}
    check(statuses.get("") == serving and statuses.get("go") == serving, f"it lists {statuses}")


def unknown_name(world, hub):
    failed = command(
        *to(hub, "nobody-here").grpcurl(f"{ECHO}/Unary", flags=["-v", *SCHEMA], data="{}")
    )
    shown = failed.stdout + failed.stderr
    check(failed.returncode == 64 + 14, f"it exits with {failed.returncode}: {shown}")
    check(re.search(r"^hub-reason: unknown-name$", shown, re.M), f"no hub-reason in: {shown}")


def activity(world, hub):
    """Watches a name come, be called well and badly, and go."""
    watch = world.start("activity", to(hub).grpcurl("hub.v1.Activity/Connect", flags=["-v"]))
    watch.wait_for(re.compile("^Response headers received:").match, "it watches")
    _, address = world.upstream("go")
    agent = world.agent(hub, "activity", "--upstream", address)
    route = Route(hub.target, "activity", hub.ca, [hub.process, agent])
    succeed(*route.grpcurl(f"{ECHO}/Unary", flags=SCHEMA, data='{"text": "seen"}'))
    command(*route.grpcurl(f"{ECHO}/Fail", flags=SCHEMA, data='{"code": 5}'))
    # The agent goes only after its calls are told: that they come in this order is no promise.
    eventually(lambda: len(story(watch)) == len(STORY) - 1, "the calls are shown")
    agent.stop()
    eventually(lambda: len(story(watch)) == len(STORY), "the name's end is shown")
    watch.stop()
    check(story(watch) == STORY, f"it shows {story(watch)}")


STORY = [
    ("CLIENT_REGISTERED", None, None),
    ("REQUEST_PROXIED", "/e2e.v1.Echo/Unary", "OK"),
    ("REQUEST_PROXIED", "/e2e.v1.Echo/Fail", "NOT_FOUND"),
    ("CLIENT_UNREGISTERED", None, None),
]


def story(watch):
    """What `grpcurl -v` has printed of the name so far, a document after each such line."""
    decoder, told = json.JSONDecoder(), []
    for text in "\n".join(watch.lines()).split("Response contents:")[1:]:
        try:
            event = decoder.raw_decode(text.lstrip())[0]
        except ValueError:
            break  # The last one is still being printed.
        # Lanes come and go with the calls, and with the hub's own probe; each session drains at the end.
        is_told = not event["type"].startswith(("LANE_", "SESSION_"))
        if event["name"] == "activity" and is_told:
            call_told = event.get("call", {})
            told.append((event["type"], call_told.get("method"), call_told.get("status")))
    return told


HUB_CASES = {
    "list": hub_list,
    "describe": hub_describe,
    "list-clients": hub_list_clients,
    "health": hub_health,
    "health-list": hub_health_list,
    "unknown-name": unknown_name,
    "activity": activity,
}

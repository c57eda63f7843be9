"""Servers that describe themselves otherwise than they are, to our client."""

from __future__ import annotations

import json

from harness import Failed, check, succeed

WALL = {
    "since": "2026-01-01T00:00:00Z",
    "notes": {"coats": 2.0},
    "colour": "BLUE",
    "paint": {"colour": "RED"},
}


def check_reflection(world):
    """Why our client cannot call what a server on Node describes: types of other packages, and of proto2."""
    try:
        hub = world.hub("h2c")
        name = world.through(hub, "grpc-js").name
        argv = [world.bin / "client", "--hub", hub.uri, "-o", "json", "call", name]
        painted = succeed(*argv, "described.v1.Painter/Paint", stdin=json.dumps(WALL))
        check(json.loads(painted) == WALL, f"painted: {painted}")
    except Failed as error:
        return f"our client and the reflection of grpc-js: {error}"
    return None

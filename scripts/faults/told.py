"""What a caller tells of its losses, and when all of them are over."""

from __future__ import annotations

import time

from harness import Failed

# Of a unary call; a stream has its life more.
DEADLINE_S, LIFE_S = 5, 5
# With no call lost for so long, all is over: calls that hang have had their deadlines.
CALM_S = DEADLINE_S + LIFE_S + 1
# Between two looks.
LOOK_S = 0.5
# Before a fault: all connections have their lanes to all agents.
WARM_S = 2


def warm(caller):
    """Waits until calls have gone well for a while."""
    time.sleep(WARM_S)
    caller.mark()
    time.sleep(LOOK_S)
    found = caller.report()
    if found["unary"]["lost"] or not found["unary"]["ok"]:
        raise Failed(f"calls do not go well before anything is broken: {found}")


def wait_until_calm(caller, limit_s):
    """No call is lost any more, or it takes too long."""
    begin = time.monotonic()
    while True:
        time.sleep(LOOK_S)
        found, waited = caller.report(), time.monotonic() - begin
        last = found["last_lost_begun_ms"]
        calm_s = found["seconds"] - last / 1000 if last is not None else waited
        if min(calm_s, waited) > CALM_S and found["since_ok_ms"] < 1000:
            return found
        if waited > limit_s:
            return {**found, "last_lost_begun_ms": None, "never": True}


def served_again(found):
    """From when on every call that began went well."""
    last = found["last_lost_begun_ms"]
    if found.get("never"):
        return "not while it was watched"
    return "never away" if last is None else f"{last / 1000:.2f} s"


def lost_of(found):
    """Of both kinds of calls."""
    cells = []
    for kind, what in (("unary", "calls"), ("streams", "streams")):
        lost, ok = found[kind]["lost"], found[kind]["ok"]
        cells.append(f"{lost:,} of {lost + ok:,} {what}")
    return ", ".join(cells)


def silence(found):
    """The longest, and why calls were lost."""
    return f"{found['longest_gap_ms'] / 1000:.2f} s{reasons(found)}"


def reasons(found):
    """Why calls were lost, the most frequent first."""
    why = {}
    for kind in ("unary", "streams"):
        for reason, count in found[kind]["why"].items():
            why[reason] = why.get(reason, 0) + count
    ordered = sorted(why.items(), key=lambda pair: -pair[1])
    return "".join(f"; {reason} {count:,}" for reason, count in ordered)

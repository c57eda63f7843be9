"""Whether Grafana knows all that the dashboard says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from harness import TOOLS, check

# Grafana writes it beside a variable's query, for older ones of itself; its models leave it out.
ONLY_WRITTEN = "definition"


def is_there():
    """Whether its models are installed: they want Python 3.11."""
    return (TOOLS / "grafana").is_dir()


def check_dashboard(path: Path):
    """Grafana's own models (grafana-foundation-sdk) take it, and give all of it back."""
    sys.path.insert(0, str(TOOLS / "grafana"))
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    said = json.loads(path.read_text())
    again = json.loads(json.dumps(Dashboard.from_json(said), cls=JSONEncoder))
    lost = list(differences(said, again, ""))
    check(not lost, f"Grafana does not know {', '.join(lost)} of {path}")


def differences(said, again, where):
    """Where the two are not alike."""
    if isinstance(said, dict) and isinstance(again, dict):
        for key in said.keys() - {ONLY_WRITTEN}:
            yield from differences(said[key], again.get(key), f"{where}/{key}")
    elif isinstance(said, list) and isinstance(again, list) and len(said) == len(again):
        for place, (one, other) in enumerate(zip(said, again, strict=True)):
            yield from differences(one, other, f"{where}/{place}")
    elif said != again:
        yield where

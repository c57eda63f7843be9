#!/usr/bin/env bash
# Installs Grafana's models of a dashboard into $TOOLS_DIR (default: .tools in the repository's root; for Python 3.11 or
# newer), and Prometheus and promtool with apt, where they are missing. With systemd, Debian's package also starts a Prometheus
# of the machine's own, which is no part of the tests: `systemctl disable --now prometheus` ends it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../steps.sh"

# Before Grafana's version stands when these were made, oldest last: what pip takes for the newest are those of 10.1.
grafana='grafana-foundation-sdk==1769699379!11.6.0'

make_grafana() {
    rm -rf "$tools/grafana"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$tools/grafana" "$grafana"
}

need_venv "$here/../e2e/requirements.txt"
if "$tools/venv/bin/python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    step grafana make_grafana "$here/install.sh"
else
    echo "prometheus: Python is older than 3.11: Grafana's models of a dashboard are left out"
fi
need prometheus prometheus
need promtool prometheus

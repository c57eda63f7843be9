#!/usr/bin/env bash
# Installs Prometheus and promtool with apt, where they are missing. With systemd, Debian's package also starts a Prometheus
# of the machine's own, which is no part of the tests: `systemctl disable --now prometheus` ends it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../steps.sh"

need prometheus prometheus
need promtool prometheus

#!/usr/bin/env python3
"""Runs grpc-go's own interop client, one process a case, with the command line and the output of
the other clients. The program is $GO_CLIENT; $GO_OURS has the cases that are ours."""

import argparse
import json
import os
import subprocess
import time

OURS = ("large_beside_stalled_stream", "cut_at_drain")
CASE_LIMIT_S = 60
# The official limit for one call of a soak is 1 s, which a busy machine may miss.
SOAK_CALL_LIMIT_MS = 10_000


def command_line(args, case):
    """What the official client is to do, or ours."""
    if case in OURS:
        argv = [os.environ["GO_OURS"], "--case", case, "--target", args.target]
        argv += ["--name", args.name] if args.name else []
        return argv + (["--tls-ca-file", args.tls_ca_file] if args.tls_ca_file else [])
    host, port = args.target.rsplit(":", 1)
    argv = [os.environ["GO_CLIENT"], f"--server_host={host}", f"--server_port={port}"]
    argv += [f"--test_case={case}", f"--soak_iterations={args.soak}"]
    argv += [f"--soak_overall_timeout_seconds={CASE_LIMIT_S}"]
    argv += [f"--soak_per_iteration_max_acceptable_latency_ms={SOAK_CALL_LIMIT_MS}"]
    if args.name:
        argv += [f"--additional_metadata=name:{args.name}"]
    if args.tls_ca_file:
        argv += ["--use_tls", "--use_test_ca", f"--ca_file={args.tls_ca_file}"]
    return argv


def run_case(args, case):
    """Runs one case and returns its outcome."""
    began, why = time.monotonic(), None
    try:
        # What a case says on stdout goes where our outcomes go.
        done = subprocess.run(
            command_line(args, case), stderr=subprocess.PIPE, text=True, timeout=CASE_LIMIT_S
        )
        if done.returncode != 0:
            lines = done.stderr.strip().splitlines()
            fatal = [line for line in lines if " FATAL: " in line] or lines[-1:]
            why = " ".join([f"exits with {done.returncode}:", *fatal])
    except subprocess.TimeoutExpired:
        why = f"not done within {CASE_LIMIT_S} s"
    outcome = {"case": case, "ok": why is None, "ms": round((time.monotonic() - began) * 1000)}
    return outcome if why is None else {**outcome, "why": why}


def main():
    """Reads the command line that all clients share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True)
    parser.add_argument("--name", help="metadata `name` of every call")
    parser.add_argument("--tls-ca-file")
    parser.add_argument("--soak", type=int, default=10, help="iterations of the soaks")
    parser.add_argument("cases", nargs="+")
    args = parser.parse_args()
    for case in args.cases:
        print(json.dumps(run_case(args, case)), flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# A cancelled call raises another exception at each place where a grpc.aio handler can stand.
#
# Surprising: a server-streaming handler of grpc.aio may be an async generator (`yield message`)
# or a coroutine (`await context.write(message)`). When the caller cancels while a message is being
# sent, the generator gets GeneratorExit at its `yield`, never asyncio.CancelledError; the coroutine
# gets asyncio.CancelledError or grpc's own ExecuteBatchError, by a race. The same generator gets
# asyncio.CancelledError when it is cancelled one line further, at an `await` of its own.
# Why it matters: behind a proxy with flow control a handler whose caller reads slowly spends most of
# its time inside the send, so the `except asyncio.CancelledError:` clean-up of a generator does not
# run, though it does in every trial with a quick caller. Only `finally:` sees all of them.
#
# Version: grpcio 1.85.1 (PyPI).
# Source: the gRPC AsyncIO API reference offers both styles for a servicer and names no difference;
# Python's asyncio documentation, "Task Cancellation": a cancelled task gets asyncio.CancelledError.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check grpcio==1.85.1

cat > "$dir/trial.py" <<'PY'
import asyncio

import grpc

# More than the receiver's windows, and the caller reads nothing: the send cannot end.
MESSAGE = bytes(16 << 20)
TIMES = 5


class Trial:
    def __init__(self):
        self.entered = asyncio.Event()
        self.left = asyncio.Event()
        self.seen = None

    def leave(self, error):
        self.seen = type(error).__name__
        self.left.set()


async def main():
    trial = None

    async def at_yield(request, context):
        mine = trial
        try:
            mine.entered.set()
            yield MESSAGE
        except BaseException as error:
            mine.leave(error)
            raise

    async def at_await(request, context):
        mine = trial
        try:
            mine.entered.set()
            await asyncio.Event().wait()
            yield MESSAGE
        except BaseException as error:
            mine.leave(error)
            raise

    async def at_write(request, context):
        mine = trial
        try:
            mine.entered.set()
            await context.write(MESSAGE)
        except BaseException as error:
            mine.leave(error)
            raise

    handlers = {"yield": at_yield, "await": at_await, "write": at_write}
    seen = {name: set() for name in handlers}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([
        grpc.method_handlers_generic_handler(
            "trial.Trial",
            {name: grpc.unary_stream_rpc_method_handler(f) for name, f in handlers.items()},
        )
    ])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        for name in handlers:
            for _ in range(TIMES):
                trial = Trial()
                call = channel.unary_stream(f"/trial.Trial/{name}")(b"")
                await asyncio.wait_for(trial.entered.wait(), 20)
                call.cancel()
                await asyncio.wait_for(trial.left.wait(), 20)
                seen[name].add(trial.seen)
    await server.stop(0)

    for name, where in {
        "await": "generator, cancelled in an `await` between messages",
        "write": "coroutine, cancelled in `await context.write(message)`",
        "yield": "generator, cancelled in `yield message`",
    }.items():
        print(f"  {where}: {' or '.join(sorted(seen[name]))}")
    return (
        seen["await"] == {"CancelledError"}
        and seen["write"] <= {"CancelledError", "ExecuteBatchError"}
        and seen["yield"] == {"GeneratorExit"}
    )


raise SystemExit(0 if asyncio.run(main()) else 1)
PY

echo "grpcio 1.85.1 (grpc.aio): which exception a server-streaming handler gets when its caller cancels."
echo "Expected: asyncio.CancelledError in each, as the two styles are offered as equals and asyncio cancels a task so."
echo "Seen in 5 calls each:"
if GRPC_VERBOSITY=NONE "$dir/venv/bin/python" "$dir/trial.py"; then
    echo "As described: a generator that is sending gets GeneratorExit, so its \`except asyncio.CancelledError:\` does not run."
else
    echo "CHANGED: this is no longer what grpcio does."
    exit 1
fi

#!/usr/bin/env bash
# Python's reflection finds services, messages, fields and enum values by name, but no method.
#
# Surprising: reflection.proto gives "<package>.<service>[.<method>]" as its first example of a symbol that can
# be asked for. grpcio-reflection answers NOT_FOUND for a method of a service that it has just described, while
# it finds a field of a message and a value of an enum, which no example names. It asks protobuf's pool, whose
# FindFileContainingSymbol knows of everything but methods, in its C and its Python implementation alike.
# grpclib's reflection asks the same pool, and answers the same. grpc-js (@grpc/reflection 1.0.4) finds methods.
# Why it matters: who describes what a user has typed, service, method or message, may not take NOT_FOUND for
# an answer: it has to ask once more for what stands before the last dot. And a gateway that looks a method up
# in this way works with the servers of some languages and not with those of Python.
#
# Version: grpcio and grpcio-reflection 1.85.1, grpclib 0.4.9, Python's protobuf 7.36.0.
# Source: grpc/reflection/v1/reflection.proto, file_containing_symbol: "This field should be a fully-qualified
# symbol name (e.g. <package>.<service>[.<method>] or <package>.<type>)."
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check grpcio==1.85.1 grpcio-reflection==1.85.1 \
    grpclib==0.4.9 h2==4.4.1 protobuf==7.36.0

cat > look.py <<'PY'
"""Serves trial.v1.Painter with one of both, asks it for some symbols, and prints which are found."""
import asyncio
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SYMBOLS = ["Painter", "Painter.Paint", "Wall", "Wall.colour", "Colour", "RED"]

file = descriptor_pb2.FileDescriptorProto(name="trial.proto", package="trial.v1", syntax="proto3")
file.enum_type.add(name="Colour").value.add(name="RED", number=0)
file.message_type.add(name="Wall").field.add(
    name="colour", number=1, label="LABEL_OPTIONAL", type="TYPE_ENUM", type_name=".trial.v1.Colour"
)
file.service.add(name="Painter").method.add(
    name="Paint", input_type=".trial.v1.Wall", output_type=".trial.v1.Wall"
)
pool = descriptor_pool.Default()
pool.AddSerializedFile(file.SerializeToString())
Wall = message_factory.GetMessageClass(pool.FindMessageTypeByName("trial.v1.Wall"))


async def serve_grpcio():
    from grpc_reflection.v1alpha import reflection

    server = grpc.aio.server()
    reflection.enable_server_reflection(["trial.v1.Painter"], server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


async def serve_grpclib():
    from grpclib.const import Cardinality, Handler
    from grpclib.reflection.service import ServerReflection
    from grpclib.server import Server

    class Painter:
        """As grpclib's plugin would write it."""

        async def paint(self, stream):
            await stream.send_message(await stream.recv_message())

        def __mapping__(self):
            return {"/trial.v1.Painter/Paint": Handler(self.paint, Cardinality.UNARY_UNARY, Wall, Wall)}

    server = Server(ServerReflection.extend([Painter()]))
    await server.start("127.0.0.1", 0)
    return server, server._server.sockets[0].getsockname()[1]


async def ask(port):
    """Which symbols are found, in words. Both libraries bring these messages, one process has room for one."""
    Request = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("grpc.reflection.v1alpha.ServerReflectionRequest")
    )
    Response = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("grpc.reflection.v1alpha.ServerReflectionResponse")
    )
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        reflect = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=Request.SerializeToString,
            response_deserializer=Response.FromString,
        )
        words = []
        for symbol in SYMBOLS:
            request = Request(file_containing_symbol=f"trial.v1.{symbol}")
            async for answer in reflect(iter([request]), timeout=30):
                is_error = answer.HasField("error_response")
                code = answer.error_response.error_code
                words.append(f"{symbol}: {f'error {code}' if is_error else 'found'}")
    return ", ".join(words)


async def main():
    library = sys.argv[1]
    _server, port = await {"grpcio": serve_grpcio, "grpclib": serve_grpclib}[library]()
    print(library, await ask(port), flush=True)


asyncio.run(main())
PY

want="grpcio Painter: found, Painter.Paint: error 5, Wall: found, Wall.colour: found, Colour: found, RED: found
grpclib Painter: found, Painter.Paint: error 5, Wall: found, Wall.colour: found, Colour: found, RED: found"
seen=$(venv/bin/python look.py grpcio; venv/bin/python look.py grpclib)

echo "$seen"
if [ "$seen" != "$want" ]; then
    printf 'CHANGED: expected\n%s\n' "$want" >&2
    exit 1
fi

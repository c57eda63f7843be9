"""grpc.testing.TestService on grpclib, a gRPC in pure Python. Prints `READY address` when it listens."""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import ssl

import interop_pb2 as pb
from grpclib import GRPCError, Status
from grpclib.const import Cardinality, Handler
from grpclib.server import Server

INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"


class TestService:
    """What is not here the library answers with UNIMPLEMENTED."""

    async def empty_call(self, stream):
        await stream.recv_message()
        await stream.send_message(pb.Empty())

    async def unary_call(self, stream):
        request = await stream.recv_message()
        await echo_header(stream)
        end_if_asked(request)
        payload = pb.Payload(body=bytes(request.response_size))
        await stream.send_message(pb.SimpleResponse(payload=payload))
        await echo_trailer(stream)

    async def streaming_input_call(self, stream):
        size = 0
        async for request in stream:
            size += len(request.payload.body)
        await stream.send_message(pb.StreamingInputCallResponse(aggregated_payload_size=size))

    async def streaming_output_call(self, stream):
        await answer(stream, await stream.recv_message())

    async def full_duplex_call(self, stream):
        await echo_header(stream)
        async for request in stream:
            await answer(stream, request)
        await echo_trailer(stream)

    def __mapping__(self):
        """What grpclib's generated code would say."""
        output = pb.StreamingOutputCallRequest, pb.StreamingOutputCallResponse
        inputs = pb.StreamingInputCallRequest, pb.StreamingInputCallResponse
        unary = pb.SimpleRequest, pb.SimpleResponse
        methods = {
            "EmptyCall": (self.empty_call, Cardinality.UNARY_UNARY, pb.Empty, pb.Empty),
            "UnaryCall": (self.unary_call, Cardinality.UNARY_UNARY, *unary),
            "StreamingInputCall": (self.streaming_input_call, Cardinality.STREAM_UNARY, *inputs),
            "StreamingOutputCall": (self.streaming_output_call, Cardinality.UNARY_STREAM, *output),
            "FullDuplexCall": (self.full_duplex_call, Cardinality.STREAM_STREAM, *output),
        }
        return {f"/grpc.testing.TestService/{name}": Handler(*of) for name, of in methods.items()}


async def answer(stream, request):
    """Sends the messages that a request asks for."""
    end_if_asked(request)
    for wanted in request.response_parameters:
        await asyncio.sleep(wanted.interval_us / 1e6)
        payload = pb.Payload(body=bytes(wanted.size))
        await stream.send_message(pb.StreamingOutputCallResponse(payload=payload))


async def echo_header(stream):
    """Sends back what the case custom_metadata sends as header."""
    sent = stream.metadata.get(INITIAL)
    if sent is not None:
        await stream.send_initial_metadata(metadata={INITIAL: sent})


async def echo_trailer(stream):
    """Sends back what the case custom_metadata sends as trailer."""
    sent = stream.metadata.get(TRAILING)
    if sent is not None:
        await stream.send_trailing_metadata(metadata={TRAILING: sent})


def end_if_asked(request):
    """Ends the call with the status that the request asks for."""
    if request.HasField("response_status"):
        status = request.response_status
        raise GRPCError(Status(status.code), status.message)


def context(args):
    """TLS with HTTP/2, if it was asked for."""
    if not args.tls_cert_file:
        return None
    secrets = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    secrets.load_cert_chain(args.tls_cert_file, args.tls_key_file)
    secrets.set_alpn_protocols(["h2"])
    return secrets


async def serve(args):
    """Serves until SIGTERM."""
    listener = socket.create_server(("127.0.0.1", 0))
    server, stop = Server([TestService()]), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await server.start(sock=listener, ssl=context(args))
    print(f"READY 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await stop.wait()
    server.close()


def main():
    """Reads the command line that all servers share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tls-cert-file")
    parser.add_argument("--tls-key-file")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()

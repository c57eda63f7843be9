"""grpc.testing.TestService on grpcio (C-core). Prints `READY address` when it listens."""

from __future__ import annotations

import argparse
import signal
import threading
import time
from concurrent import futures

import grpc

import interop_pb2 as pb
import interop_pb2_grpc as services

# Above the calls of one cell at once: a cancelled one holds its thread until its reader wakes.
THREADS = 32
STOP_LIMIT_S = 5
INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"


class TestService(services.TestServiceServicer):
    """What is not here, UnimplementedCall, the library answers with UNIMPLEMENTED."""

    def EmptyCall(self, request, context):
        echo_metadata(context)
        return pb.Empty()

    def UnaryCall(self, request, context):
        echo_metadata(context)
        end_if_asked(request, context)
        return pb.SimpleResponse(payload=pb.Payload(body=bytes(request.response_size)))

    def StreamingInputCall(self, requests, context):
        size = sum(len(request.payload.body) for request in requests)
        return pb.StreamingInputCallResponse(aggregated_payload_size=size)

    def StreamingOutputCall(self, request, context):
        end_if_asked(request, context)
        for wanted in request.response_parameters:
            time.sleep(wanted.interval_us / 1e6)
            payload = pb.Payload(body=bytes(wanted.size))
            yield pb.StreamingOutputCallResponse(payload=payload)

    def FullDuplexCall(self, requests, context):
        echo_metadata(context)
        for request in requests:
            yield from self.StreamingOutputCall(request, context)


def echo_metadata(context):
    """Sends back what the case custom_metadata sends."""
    sent = dict(context.invocation_metadata())
    if INITIAL in sent:
        context.send_initial_metadata([(INITIAL, sent[INITIAL])])
    if TRAILING in sent:
        context.set_trailing_metadata([(TRAILING, sent[TRAILING])])


def end_if_asked(request, context):
    """Ends the call with the status that the request asks for."""
    if request.HasField("response_status"):
        codes = {code.value[0]: code for code in grpc.StatusCode}
        context.abort(codes[request.response_status.code], request.response_status.message)


def main():
    """Serves until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tls-cert-file")
    parser.add_argument("--tls-key-file")
    args = parser.parse_args()
    server = grpc.server(futures.ThreadPoolExecutor(THREADS))
    services.add_TestServiceServicer_to_server(TestService(), server)
    if args.tls_cert_file:
        with open(args.tls_cert_file, "rb") as cert, open(args.tls_key_file, "rb") as key:
            credentials = grpc.ssl_server_credentials([(key.read(), cert.read())])
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    server.start()
    print(f"READY 127.0.0.1:{port}", flush=True)
    stop.wait()
    server.stop(grace=None).wait(STOP_LIMIT_S)


if __name__ == "__main__":
    main()

"""The interop cases on grpcio (C-core): runs those named and prints one JSON line for each."""

from __future__ import annotations

import argparse
import json
import queue
import time

import grpc

import interop_pb2 as pb
import interop_pb2_grpc as services

# Far above what any call takes, so that a hang fails by name.
CALL_LIMIT_S = 20
# The sizes that every port of the cases uses.
LARGE_REQUEST, LARGE_RESPONSE = 271828, 314159
REQUESTS, RESPONSES = (27182, 8, 1828, 45904), (31415, 9, 2653, 58979)
INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
# Of the case large_beside_stalled_stream, which is ours.
MIB, STALLED, BESIDE = 1 << 20, 8, 4
# Of the case cut_at_drain, which is ours, too: what a hub says to whom it cuts off.
CUT_OFF = "this hub ends the connection, and your call had not ended in the time for that"
UNICODE = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"


class Failed(Exception):
    """A case's expectation that does not hold."""


def expect(what, got, want):
    """Fails the case unless the two are the same."""
    if got != want:
        raise Failed(f"{what} is {got!r:.200}, not {want!r:.200}")


def expect_status(what, run, code, details=None):
    """Fails the case unless `run()` ends with this status."""
    try:
        run()
    except grpc.RpcError as error:
        expect(f"the status of {what}", error.code().name, code.name)
        if details is not None:
            expect(f"the message of {what}", error.details(), details)
    else:
        raise Failed(f"{what} ends with OK, not {code.name}")


def zeros(size):
    """A payload."""
    return pb.Payload(body=bytes(size))


def output_request(request_size, *response_sizes):
    """Asks for messages of these sizes."""
    parameters = [pb.ResponseParameters(size=size) for size in response_sizes]
    return pb.StreamingOutputCallRequest(
        response_parameters=parameters, payload=zeros(request_size)
    )


class Duplex:
    """A call of FullDuplexCall, whose requests are sent one by one."""

    def __init__(self, caller, **options):
        self.requests = queue.Queue()
        self.call = caller.open(
            caller.test.FullDuplexCall, iter(self.requests.get, None), **options
        )

    def exchange(self, request_size, response_size):
        """Sends one request and checks its answer."""
        self.requests.put(output_request(request_size, response_size))
        reply = next(self.call, None)
        expect("the answer", reply is not None and len(reply.payload.body), response_size)

    def end(self):
        """Half-closes, and expects that nothing more comes."""
        self.requests.put(None)
        expect("what comes after the last answer", next(self.call, None), None)


class Caller:
    """Runs cases over one channel; every call carries `metadata`."""

    def __init__(self, args):
        self.args = args
        self.channel = dial(args)
        self.metadata = [("name", args.name)] if args.name else []
        self.test = services.TestServiceStub(self.channel)

    def open(self, method, request, metadata=(), timeout=CALL_LIMIT_S):
        """Calls a method."""
        return method(request, metadata=[*self.metadata, *metadata], timeout=timeout)

    def empty_unary(self):
        expect("the answer", self.open(self.test.EmptyCall, pb.Empty()), pb.Empty())

    def large_unary(self):
        large_unary(self, self.channel)

    def client_streaming(self):
        parts = (pb.StreamingInputCallRequest(payload=zeros(size)) for size in REQUESTS)
        reply = self.open(self.test.StreamingInputCall, parts)
        expect("the sum", reply.aggregated_payload_size, sum(REQUESTS))

    def server_streaming(self):
        call = self.open(self.test.StreamingOutputCall, output_request(0, *RESPONSES))
        expect("the sizes", tuple(len(reply.payload.body) for reply in call), RESPONSES)

    def ping_pong(self):
        duplex = Duplex(self)
        for sizes in zip(REQUESTS, RESPONSES, strict=True):
            duplex.exchange(*sizes)
        duplex.end()

    def empty_stream(self):
        Duplex(self).end()

    def timeout_on_sleeping_server(self):
        duplex = Duplex(self, timeout=0.001)
        duplex.requests.put(output_request(REQUESTS[0]))
        expect_status("the call", lambda: next(duplex.call), grpc.StatusCode.DEADLINE_EXCEEDED)
        duplex.requests.put(None)

    def cancel_after_begin(self):
        parts = queue.Queue()
        call = self.open(self.test.StreamingInputCall.future, iter(parts.get, None))
        call.cancel()
        expect("cancelled", call.cancelled(), True)
        expect("the status", call.code().name, "CANCELLED")
        parts.put(None)

    def cancel_after_first_response(self):
        duplex = Duplex(self)
        duplex.exchange(REQUESTS[0], RESPONSES[0])
        duplex.call.cancel()
        expect_status("the call", lambda: next(duplex.call), grpc.StatusCode.CANCELLED)
        duplex.requests.put(None)

    def status_code_and_message(self):
        self.statuses("test status message", duplex=True)

    def special_status_message(self):
        self.statuses(UNICODE, duplex=False)

    def statuses(self, message, duplex):
        """Asks for UNKNOWN with this message."""
        status = pb.EchoStatus(code=2, message=message)
        request = pb.SimpleRequest(response_status=status)
        unary = lambda: self.open(self.test.UnaryCall, request)
        expect_status("the unary call", unary, grpc.StatusCode.UNKNOWN, message)
        if duplex:
            request = pb.StreamingOutputCallRequest(response_status=status)
            stream = lambda: list(self.open(self.test.FullDuplexCall, iter([request])))
            expect_status("the stream", stream, grpc.StatusCode.UNKNOWN, message)

    def custom_metadata(self):
        sent = [(INITIAL, "test_initial_metadata_value"), (TRAILING, b"\xab\xab\xab")]
        request = pb.SimpleRequest(response_size=LARGE_RESPONSE, payload=zeros(LARGE_REQUEST))
        unary = self.open(self.test.UnaryCall.with_call, request, sent)[1]
        duplex = Duplex(self, metadata=sent)
        duplex.exchange(LARGE_REQUEST, LARGE_RESPONSE)
        duplex.end()
        for call in (unary, duplex.call):
            expect("the header", dict(call.initial_metadata()).get(INITIAL), sent[0][1])
            expect("the trailer", dict(call.trailing_metadata()).get(TRAILING), sent[1][1])

    def unimplemented_method(self):
        self.unimplemented(self.test)

    def unimplemented_service(self):
        self.unimplemented(services.UnimplementedServiceStub(self.channel))

    def unimplemented(self, stub):
        """Calls what is not there."""
        run = lambda: self.open(stub.UnimplementedCall, pb.Empty())
        expect_status("the call", run, grpc.StatusCode.UNIMPLEMENTED)

    def large_beside_stalled_stream(self):
        stalled = self.open(self.test.StreamingOutputCall, output_request(0, *[MIB] * STALLED))
        for _ in range(BESIDE):
            request = pb.SimpleRequest(response_size=MIB, payload=zeros(MIB))
            reply = self.open(self.test.UnaryCall, request)
            expect("the size of the answer", len(reply.payload.body), MIB)
        sizes = [len(reply.payload.body) for reply in stalled]
        expect("what was left to read", sizes, [MIB] * STALLED)

    def cut_at_drain(self):
        duplex = Duplex(self)
        duplex.exchange(REQUESTS[0], RESPONSES[0])
        print("BEGUN", flush=True)
        expect_status("the call", lambda: next(duplex.call), grpc.StatusCode.UNAVAILABLE, CUT_OFF)
        duplex.requests.put(None)

    def rpc_soak(self):
        for _ in range(self.args.soak):
            large_unary(self, self.channel)

    def channel_soak(self):
        for _ in range(self.args.soak):
            with dial(self.args) as channel:
                large_unary(self, channel)


def large_unary(caller, channel):
    """A large request, a large answer."""
    request = pb.SimpleRequest(response_size=LARGE_RESPONSE, payload=zeros(LARGE_REQUEST))
    reply = caller.open(services.TestServiceStub(channel).UnaryCall, request)
    expect("the answer", reply.payload.body, bytes(LARGE_RESPONSE))


def dial(args):
    """A channel whose connections no other channel shares."""
    own = [("grpc.use_local_subchannel_pool", 1)]
    if not args.tls_ca_file:
        return grpc.insecure_channel(args.target, own)
    with open(args.tls_ca_file, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    return grpc.secure_channel(args.target, credentials, own)


def run_case(caller, name):
    """Runs one case and returns its outcome."""
    began, why = time.monotonic(), None
    try:
        getattr(caller, name)()
    except Failed as error:
        why = str(error)
    except grpc.RpcError as error:
        why = f"{error.code().name}: {error.details()}"
    except Exception as error:  # Whatever it is, it is this case's failure, not the next one's.
        why = f"{type(error).__name__}: {error}"
    outcome = {"case": name, "ok": why is None, "ms": round((time.monotonic() - began) * 1000)}
    return outcome if why is None else {**outcome, "why": " ".join(why.split())}


def main():
    """Reads the command line that all clients share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True)
    parser.add_argument("--name", help="metadata `name` of every call")
    parser.add_argument("--tls-ca-file")
    parser.add_argument("--soak", type=int, default=10, help="iterations of the soaks")
    parser.add_argument("cases", nargs="+")
    args = parser.parse_args()
    caller = Caller(args)
    for name in args.cases:
        print(json.dumps(run_case(caller, name)), flush=True)


if __name__ == "__main__":
    main()

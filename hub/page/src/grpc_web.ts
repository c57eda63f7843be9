// gRPC-Web, as far as the page needs it: unary calls and streams from the hub, by fetch.
//
// connect-web does this and much else, such as JSON: a hundred lines here save a sixth of the page.

import type { DescMethodServerStreaming, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary, type DescMessage } from "@bufbuild/protobuf";

/** Codes of gRPC that the page has to tell apart. */
export const Code = {
  Ok: 0,
  Unknown: 2,
  InvalidArgument: 3,
  NotFound: 5,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  Unauthenticated: 16,
} as const;

/** How a call has failed. */
export class Failure extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

/** The largest message that is taken: the hub's own answers are far smaller. */
const LARGEST_MESSAGE = 16 * 1024 * 1024;
/** Before each message: flags, and its length in four bytes. */
const PREFIX = 5;
/** The flag of the last frame, which holds trailers. */
const TRAILERS = 0x80;

type Method<I extends DescMessage, O extends DescMessage> = DescMethodUnary<I, O> | DescMethodServerStreaming<I, O>;

/** Calls a method of the hub, and returns its one answer. */
export async function ask<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  question: MessageInitShape<I>,
  signal: AbortSignal,
): Promise<MessageShape<O>> {
  let answer: MessageShape<O> | undefined;
  // To the end: how the call has ended comes last, and the connection can be used again.
  for await (const message of listen(method, question, signal)) answer ??= message;
  if (!answer) throw new Failure(Code.Internal, "the answer has no message");
  return answer;
}

/** Calls a method of the hub; each answer comes as it is there. `opened` is called when the hub has begun to answer. */
export async function* listen<I extends DescMessage, O extends DescMessage>(
  method: Method<I, O>,
  question: MessageInitShape<I>,
  signal: AbortSignal,
  opened?: () => void,
): AsyncGenerator<MessageShape<O>> {
  const response = await fetch(`/${method.parent.typeName}/${method.name}`, {
    method: "POST",
    headers: { "content-type": "application/grpc-web+proto", "x-grpc-web": "1" },
    body: frame(toBinary(method.input, create(method.input, question))),
    signal,
  });
  if (response.headers.has("grpc-status")) check(response.headers);
  if (!response.ok || !response.body) throw new Failure(Code.Unavailable, `HTTP ${response.status}`);
  opened?.();
  let isOver = false;
  for await (const { flags, payload } of frames(response.body)) {
    if (flags & TRAILERS) {
      check(trailers(payload));
      isOver = true;
    } else {
      yield fromBinary(method.output, payload);
    }
  }
  if (!isOver) throw new Failure(Code.Unavailable, "the answer was cut off");
}

function frame(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const framed = new Uint8Array(PREFIX + message.length);
  new DataView(framed.buffer).setUint32(1, message.length);
  framed.set(message, PREFIX);
  return framed;
}

interface Frame {
  flags: number;
  payload: Uint8Array;
}

async function* frames(body: ReadableStream<Uint8Array>): AsyncGenerator<Frame> {
  const reader = body.getReader();
  let held = new Uint8Array();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      held = joined(held, value);
      for (;;) {
        const length = held.length < PREFIX ? 0 : new DataView(held.buffer, held.byteOffset).getUint32(1);
        if (length > LARGEST_MESSAGE) throw new Failure(Code.Internal, "the answer is too large");
        if (held.length < PREFIX + length) break;
        yield { flags: held[0]!, payload: held.subarray(PREFIX, PREFIX + length) };
        held = held.subarray(PREFIX + length);
      }
    }
  } finally {
    // Who has seen enough ends the call.
    await reader.cancel().catch(() => {});
  }
}

function joined(held: Uint8Array, more: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(held.length + more.length);
  all.set(held);
  all.set(more, held.length);
  return all;
}

function trailers(payload: Uint8Array): Headers {
  const lines = new TextDecoder().decode(payload).split("\r\n").filter((line) => line.includes(":"));
  return new Headers(lines.map((line): [string, string] => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]));
}

/** Throws what the hub says, unless that is OK. */
function check(status: Headers): void {
  const code = Number(status.get("grpc-status") ?? Code.Unknown);
  if (code !== Code.Ok) throw new Failure(code, percentDecoded(status.get("grpc-message") ?? `gRPC status ${code}`));
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

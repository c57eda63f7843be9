// What the page asks its hub, which is where it came from.

import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { Activity, type ActivityEvent } from "./gen/hub/v1/activity_pb.ts";
import { Names } from "./gen/hub/v1/names_pb.ts";
import { ask, Code, Failure, listen } from "./grpc_web.ts";

/** An answer that is later than this is none: the operator is told. */
const PATIENCE_MS = 5_000;

export const listNames = question(Names.method.listNames);
export const getName = question(Names.method.getName);
export const getHub = question(Names.method.getHub);

function question<I extends DescMessage, O extends DescMessage>(method: DescMethodUnary<I, O>) {
  return (request: MessageInitShape<I>, signal: AbortSignal): Promise<MessageShape<O>> =>
    ask(method, request, AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]));
}

/** A place in what has happened, before all that a hub still knows: it is of no hub. */
export const BEGINNING = "-.0.0";

/**
 * What has happened at one name, or at all, after a place in it, and what happens then, until it is ended by the signal.
 * `opened` is called once it has begun.
 */
export function activity(
  name: string | undefined,
  after: string,
  signal: AbortSignal,
  opened: () => void,
): AsyncIterable<ActivityEvent> {
  const names = name === undefined ? [] : [name];
  return listen(Activity.method.connect, { names, after }, signal, opened);
}

/** What the hub itself says no with. All else means that it was not reached. */
const ANSWERS: readonly number[] = [
  Code.InvalidArgument,
  Code.NotFound,
  Code.PermissionDenied,
  Code.ResourceExhausted,
  Code.Unimplemented,
  Code.Unauthenticated,
];

/** The hub's no, or `undefined` where it has not answered. */
export function refusal(error: unknown): string | undefined {
  return error instanceof Failure && ANSWERS.includes(error.code) ? error.message : undefined;
}

/** Why it was not reached, in words. */
export function reason(error: unknown): string {
  if (error instanceof DOMException && error.name === "TimeoutError") return "It does not answer in time.";
  return error instanceof Error ? error.message : String(error);
}

// The clients that browsers have, made alike: `call` sends one request, and returns all that came back or throws a
// Failure. Metadata is read by name: `header("hub-reason")`.
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { ConnectError, createClient, decodeBinaryHeader } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { GrpcWebClientBase, MethodDescriptor, MethodType } from "grpc-web";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";

/** How a call failed: with a status of gRPC, metadata, and details by type. */
export class Failure extends Error {
  constructor(code, message, header, details) {
    super(message);
    Object.assign(this, { code, header, details });
  }
}

/** All of them. `live`: messages of a stream are seen as they come. `timeout`: the header that tells a deadline. */
export function clients(baseUrl) {
  const timeout = ["grpc-timeout", "200m"];
  return [
    {
      title: "connect",
      // Without, messages are JSON, which is nothing that a gRPC server has to know.
      call: connectCall(createConnectTransport({ baseUrl, useBinaryFormat: true })),
      live: true,
      timeout: ["connect-timeout-ms", "200"],
    },
    {
      title: "connect-grpcweb",
      call: connectCall(createGrpcWebTransport({ baseUrl })),
      live: true,
      timeout,
    },
    // It reads an XMLHttpRequest's ArrayBuffer, which is there once all of it is.
    { title: "grpcweb", call: grpcWebCall(baseUrl, "binary"), live: false, timeout },
    { title: "grpcwebtext", call: grpcWebCall(baseUrl, "text"), live: true, timeout },
  ];
}

// --- Connect's, which fetch ---

function connectCall(transport) {
  return async (method, request, { headers, signal, timeoutMs, onMessage }) => {
    const { answer, take } = collected(onMessage);
    const options = {
      headers,
      signal,
      timeoutMs,
      onHeader: (header) => (answer.header = (name) => header.get(name)),
      onTrailer: (trailer) => (answer.trailer = (name) => trailer.get(name)),
    };
    try {
      const answered = createClient(method.parent, transport)[method.localName](request, options);
      if (method.methodKind === "unary") {
        take(await answered);
      } else {
        for await (const message of answered) {
          take(message);
        }
      }
    } catch (thrown) {
      const error = ConnectError.from(thrown);
      const header = (name) => error.metadata.get(name);
      const details = (schema) => error.findDetails(schema);
      throw new Failure(error.code, error.rawMessage, header, details);
    }
    return answer;
  };
}

// --- grpc-web's, which make an XMLHttpRequest ---

function grpcWebCall(baseUrl, format) {
  const client = new GrpcWebClientBase({ format });
  return (method, request, { headers, signal, timeoutMs, onMessage }) =>
    new Promise((resolve, reject) => {
      const { answer, take } = collected(onMessage);
      const deadline = timeoutMs && { deadline: String(Date.now() + timeoutMs) };
      const path = `/${method.parent.typeName}/${method.name}`;
      const what = [baseUrl + path, request, { ...headers, ...deadline }, descriptor(path, method)];
      const fail = (error) => reject(grpcWebFailure(error));
      let stream;
      if (method.methodKind === "unary") {
        stream = client.rpcCall(...what, (error, message) => {
          if (error) {
            fail(error);
          } else {
            take(message);
            resolve(answer);
          }
        });
      } else {
        stream = client.serverStreaming(...what);
        stream.on("data", take);
        stream.on("error", fail);
        stream.on("end", () => resolve(answer));
      }
      stream.on("metadata", (header) => (answer.header = (name) => header[name]));
      stream.on("status", ({ metadata }) => (answer.trailer = (name) => metadata?.[name]));
      signal?.addEventListener("abort", () => {
        // It calls nobody back.
        stream.cancel();
        reject(new Failure(1, "cancelled"));
      });
    });
}

/** What protoc-gen-grpc-web writes out for each method, made of the same that protoc tells it. */
function descriptor(path, method) {
  return new MethodDescriptor(
    path,
    method.methodKind === "unary" ? MethodType.UNARY : MethodType.SERVER_STREAMING,
    Object,
    Object,
    (message) => toBinary(method.input, message),
    (bytes) => fromBinary(method.output, bytes),
  );
}

function grpcWebFailure({ code, message, metadata = {} }) {
  const details = (schema) => {
    const status = decodeBinaryHeader(metadata["grpc-status-details-bin"] ?? "", StatusSchema);
    return status.details.map((any) => anyUnpack(any, schema)).filter((detail) => detail);
  };
  return new Failure(code, message, (name) => metadata[name], details);
}

// --- both ---

function collected(onMessage) {
  const answer = { messages: [] };
  const take = (message) => {
    answer.messages.push(message);
    onMessage?.(message);
  };
  return { answer, take };
}

'use strict';
// grpc.testing.TestService on grpc-js, and described.v1.Painter, which it describes. Prints `READY address` when it listens.

const { setTimeout: sleep } = require('node:timers/promises');
const { parseArgs } = require('node:util');

const grpc = require('@grpc/grpc-js');
const { ReflectionService } = require('@grpc/reflection');

const { INITIAL, TRAILING, described, readFile, services, zeros } = require('./testing');

/** Sends back the header of the case custom_metadata, and returns the trailer to send back. */
function echoMetadata(call) {
  const header = new grpc.Metadata();
  const trailer = new grpc.Metadata();
  call.metadata.get(INITIAL).forEach((value) => header.add(INITIAL, value));
  call.metadata.get(TRAILING).forEach((value) => trailer.add(TRAILING, value));
  if (call.metadata.get(INITIAL).length > 0) {
    call.sendMetadata(header);
  }
  return trailer;
}

/** The status that a request asks for, as an error, or null. */
function askedFor(request) {
  const status = request.response_status;
  return status ? { code: status.code, details: status.message } : null;
}

function emptyCall(call, callback) {
  callback(null, {}, echoMetadata(call));
}

function unaryCall(call, callback) {
  const trailer = echoMetadata(call);
  const error = askedFor(call.request);
  if (error) {
    callback(error);
  } else {
    callback(null, { payload: zeros(call.request.response_size) }, trailer);
  }
}

async function streamingInputCall(call, callback) {
  let size = 0;
  try {
    for await (const request of call) {
      size += request.payload.body.length;
    }
    callback(null, { aggregated_payload_size: size });
  } catch (error) {
    callback(error);
  }
}

/** Sends the messages that a request asks for. */
async function answer(call, request) {
  const error = askedFor(request);
  if (error) {
    throw error;
  }
  for (const { size, interval_us: wait } of request.response_parameters) {
    if (wait > 0) {
      await sleep(wait / 1000);
    }
    call.write({ payload: zeros(size) });
  }
}

async function streamingOutputCall(call) {
  try {
    await answer(call, call.request);
    call.end();
  } catch (error) {
    call.emit('error', error);
  }
}

async function fullDuplexCall(call) {
  try {
    const trailer = echoMetadata(call);
    // By default, reading to the end would destroy the stream that is still to be written.
    for await (const request of call.iterator({ destroyOnReturn: false })) {
      await answer(call, request);
    }
    call.end(trailer);
  } catch (error) {
    call.emit('error', error);
  }
}

function main() {
  const { values } = parseArgs({
    options: { 'tls-cert-file': { type: 'string' }, 'tls-key-file': { type: 'string' } },
  });
  const cert = readFile(values['tls-cert-file']);
  const key = readFile(values['tls-key-file']);
  const credentials = cert
    ? grpc.ServerCredentials.createSsl(null, [{ cert_chain: cert, private_key: key }])
    : grpc.ServerCredentials.createInsecure();

  const server = new grpc.Server();
  // UnimplementedCall has no handler: the library answers it.
  server.addService(services.TestService.service, {
    emptyCall,
    unaryCall,
    streamingInputCall,
    streamingOutputCall,
    fullDuplexCall,
  });
  server.addService(described['described.v1.Painter'], {
    paint: (call, callback) => callback(null, call.request),
  });
  new ReflectionService(described).addToServer(server);
  server.bindAsync('127.0.0.1:0', credentials, (error, port) => {
    if (error) {
      throw error;
    }
    console.log(`READY 127.0.0.1:${port}`);
  });
  process.on('SIGTERM', () => process.exit(0));
}

main();

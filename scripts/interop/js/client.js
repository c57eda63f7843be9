'use strict';
// The interop cases on grpc-js: runs those named and prints one JSON line for each.

const { once } = require('node:events');
const { parseArgs } = require('node:util');

const grpc = require('@grpc/grpc-js');

const { INITIAL, TRAILING, readFile, services, zeros } = require('./testing');

// Far above what any call takes, so that a hang fails by name.
const CALL_LIMIT_MS = 20_000;
// The sizes that every port of the cases uses.
const [LARGE_REQUEST, LARGE_RESPONSE] = [271828, 314159];
const REQUESTS = [27182, 8, 1828, 45904];
const RESPONSES = [31415, 9, 2653, 58979];
// Of the case large_beside_stalled_stream, which is ours.
const [MIB, STALLED, BESIDE] = [1 << 20, 8, 4];
// Of the case cut_at_drain, which is ours, too: what a hub says to whom it cuts off.
const CUT_OFF = 'this hub ends the connection, and your call had not ended in the time for that';
const UNICODE = '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n';

const largeRequest = { response_size: LARGE_RESPONSE, payload: zeros(LARGE_REQUEST) };

/** Fails the case unless the two are the same. */
function expect(what, got, want) {
  if (got !== want) {
    throw new Error(`${what} is ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);
  }
}

/** Fails the case unless a promise rejects with this status. */
async function expectStatus(what, promise, code, details) {
  const error = await promise.then(() => ({ code: grpc.status.OK }), (error) => error);
  expect(`the status of ${what}`, grpc.status[error.code], grpc.status[code]);
  if (details !== undefined) {
    expect(`the message of ${what}`, error.details, details);
  }
}

/** Asks for messages of these sizes. */
function outputRequest(requestSize, ...sizes) {
  return { response_parameters: sizes.map((size) => ({ size })), payload: zeros(requestSize) };
}

/** A call of FullDuplexCall, whose requests are sent one by one. */
class Duplex {
  constructor(caller, extra = {}, limitMs = CALL_LIMIT_MS) {
    this.call = caller.stub.fullDuplexCall(caller.metadata(extra), deadline(limitMs));
    this.header = once(this.call, 'metadata');
    this.status = once(this.call, 'status');
    // Not every case waits for them, and what ends badly rejects them.
    this.header.catch(() => {});
    this.status.catch(() => {});
    this.answers = this.call[Symbol.asyncIterator]();
  }

  /** The next answer, null at the end. */
  async read() {
    const { value, done } = await this.answers.next();
    return done ? null : value;
  }

  /** Sends one request and checks its answer. */
  async exchange(requestSize, responseSize) {
    this.call.write(outputRequest(requestSize, responseSize));
    expect('the size of the answer', (await this.read())?.payload.body.length, responseSize);
  }

  /** Half-closes, and expects that nothing more comes. */
  async end() {
    this.call.end();
    expect('what comes after the last answer', await this.read(), null);
  }
}

/** Runs cases over one channel; every call carries `name`. */
class Caller {
  constructor(args) {
    this.args = args;
    this.stub = dial(args, services.TestService);
  }

  /** What every call carries, and more. */
  metadata(extra = {}) {
    const metadata = new grpc.Metadata();
    const own = this.args.name ? { name: this.args.name } : {};
    Object.entries({ ...own, ...extra }).forEach(([key, value]) => metadata.set(key, value));
    return metadata;
  }

  /** Calls a unary method: the reply, or a rejection with the status. */
  unary(method, request, { extra = {}, stub = this.stub, watch = () => {} } = {}) {
    return new Promise((resolve, reject) => {
      const done = (error, reply) => (error ? reject(error) : resolve(reply));
      watch(stub[method](request, this.metadata(extra), deadline(CALL_LIMIT_MS), done));
    });
  }

  async empty_unary() {
    await this.unary('emptyCall', {});
  }

  async large_unary(stub = this.stub) {
    const reply = await this.unary('unaryCall', largeRequest, { stub });
    expect('the size of the answer', reply.payload.body.length, LARGE_RESPONSE);
  }

  async client_streaming() {
    const reply = await new Promise((resolve, reject) => {
      const done = (error, reply) => (error ? reject(error) : resolve(reply));
      const call = this.stub.streamingInputCall(this.metadata(), deadline(CALL_LIMIT_MS), done);
      REQUESTS.forEach((size) => call.write({ payload: zeros(size) }));
      call.end();
    });
    expect('the sum', reply.aggregated_payload_size, REQUESTS.reduce((sum, size) => sum + size));
  }

  async server_streaming() {
    const request = outputRequest(0, ...RESPONSES);
    const limit = deadline(CALL_LIMIT_MS);
    const sizes = [];
    for await (const reply of this.stub.streamingOutputCall(request, this.metadata(), limit)) {
      sizes.push(reply.payload.body.length);
    }
    expect('the sizes', sizes.join(), RESPONSES.join());
  }

  async ping_pong() {
    const duplex = new Duplex(this);
    for (const [turn, size] of REQUESTS.entries()) {
      await duplex.exchange(size, RESPONSES[turn]);
    }
    await duplex.end();
  }

  async empty_stream() {
    await new Duplex(this).end();
  }

  async timeout_on_sleeping_server() {
    const duplex = new Duplex(this, {}, 1);
    duplex.call.write(outputRequest(REQUESTS[0]));
    await expectStatus('the call', duplex.read(), grpc.status.DEADLINE_EXCEEDED);
  }

  async cancel_after_begin() {
    const code = await new Promise((resolve) => {
      const done = (error) => resolve(error?.code);
      const call = this.stub.streamingInputCall(this.metadata(), deadline(CALL_LIMIT_MS), done);
      call.cancel();
    });
    expect('the status', grpc.status[code], 'CANCELLED');
  }

  async cancel_after_first_response() {
    const duplex = new Duplex(this);
    await duplex.exchange(REQUESTS[0], RESPONSES[0]);
    duplex.call.cancel();
    await expectStatus('the call', duplex.read(), grpc.status.CANCELLED);
  }

  async status_code_and_message() {
    const message = 'test status message';
    await this.unaryStatus(message);
    const duplex = new Duplex(this);
    duplex.call.write({ response_status: { code: grpc.status.UNKNOWN, message } });
    duplex.call.end();
    await expectStatus('the stream', duplex.read(), grpc.status.UNKNOWN, message);
  }

  async special_status_message() {
    await this.unaryStatus(UNICODE);
  }

  /** Asks for UNKNOWN with this message. */
  async unaryStatus(message) {
    const request = { response_status: { code: grpc.status.UNKNOWN, message } };
    const promise = this.unary('unaryCall', request);
    await expectStatus('the unary call', promise, grpc.status.UNKNOWN, message);
  }

  async custom_metadata() {
    const sent = { [INITIAL]: 'test_initial_metadata_value', [TRAILING]: Buffer.from('ababab', 'hex') };
    const check = ([header], [status]) => {
      expect('the header', header.get(INITIAL).join(), sent[INITIAL]);
      expect('the trailer', status.metadata.get(TRAILING)[0]?.toString('hex'), 'ababab');
    };
    let events;
    const watch = (call) => {
      events = Promise.all([once(call, 'metadata'), once(call, 'status')]);
    };
    await this.unary('unaryCall', largeRequest, { extra: sent, watch });
    check(...(await events));
    const duplex = new Duplex(this, sent);
    await duplex.exchange(LARGE_REQUEST, LARGE_RESPONSE);
    await duplex.end();
    check(await duplex.header, await duplex.status);
  }

  async unimplemented_method() {
    const promise = this.unary('unimplementedCall', {});
    await expectStatus('the call', promise, grpc.status.UNIMPLEMENTED);
  }

  async unimplemented_service() {
    const stub = dial(this.args, services.UnimplementedService);
    const promise = this.unary('unimplementedCall', {}, { stub });
    await expectStatus('the call', promise, grpc.status.UNIMPLEMENTED);
    stub.close();
  }

  async large_beside_stalled_stream() {
    const wanted = outputRequest(0, ...Array(STALLED).fill(MIB));
    const stalled = this.stub.streamingOutputCall(wanted, this.metadata(), deadline(CALL_LIMIT_MS));
    // Reading it later tells of a failure, too.
    stalled.on('error', () => {});
    for (let turn = 0; turn < BESIDE; turn += 1) {
      const request = { response_size: MIB, payload: zeros(MIB) };
      const reply = await this.unary('unaryCall', request);
      expect('the size of the answer', reply.payload.body.length, MIB);
    }
    let sum = 0;
    for await (const reply of stalled) {
      sum += reply.payload.body.length;
    }
    expect('what was left to read', sum, STALLED * MIB);
  }

  async cut_at_drain() {
    const duplex = new Duplex(this);
    await duplex.exchange(REQUESTS[0], RESPONSES[0]);
    console.log('BEGUN');
    await expectStatus('the call', duplex.read(), grpc.status.UNAVAILABLE, CUT_OFF);
  }

  async rpc_soak() {
    for (let turn = 0; turn < this.args.soak; turn += 1) {
      await this.large_unary();
    }
  }

  async channel_soak() {
    for (let turn = 0; turn < this.args.soak; turn += 1) {
      const stub = dial(this.args, services.TestService);
      await this.large_unary(stub);
      stub.close();
    }
  }
}

function deadline(limitMs) {
  return { deadline: Date.now() + limitMs };
}

/** A stub with a channel whose connections no other channel shares. */
function dial(args, Stub) {
  const ca = readFile(args['tls-ca-file']);
  const credentials = ca ? grpc.credentials.createSsl(ca) : grpc.credentials.createInsecure();
  return new Stub(args.target, credentials, { 'grpc.use_local_subchannel_pool': 1 });
}

/** Runs one case and returns its outcome. */
async function runCase(caller, name) {
  const began = Date.now();
  const why = await caller[name]().then(() => null, (error) => error.message);
  const outcome = { case: name, ok: why === null, ms: Date.now() - began };
  return why === null ? outcome : { ...outcome, why };
}

/** Reads the command line that all clients share. */
async function main() {
  const string = { type: 'string' };
  const options = { target: string, name: string, 'tls-ca-file': string, soak: string };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const caller = new Caller({ ...values, soak: Number(values.soak ?? 10) });
  for (const name of positionals) {
    console.log(JSON.stringify(await runCase(caller, name)));
  }
  caller.stub.close();
}

main();

#!/usr/bin/env bash
# A bare "%" in grpc-message turns a failed stream of grpc-web into one that has ended well.
#
# Surprising: the message of a status is percent-encoded, and whoever decodes it must put up with a "%" that stands for
# nothing. grpc-web gives it to decodeURIComponent, inside the event handler that reads the answer. What that throws goes to
# window.onerror; the stream's own handlers, for which the status 9 was meant, are told `data` and `end`: no `error`, no
# `status`. With "100%25 done" the same answer is error 9, "100% done".
# Why it matters: an application that waits for `end` takes half an answer for the whole. Servers do send such messages
# (grpc-rust until #2107, elixir-grpc #269), and the proxy that makes gRPC-Web of gRPC hands the text on as it came.
#
# Version: grpc-web 2.1.1 (npm), its GrpcWebClientBase, in text mode; XMLHttpRequest: jsdom 26.1.0.
# Source: gRPC over HTTP2, Responses, of Status-Message: "When decoding invalid values, implementations MUST NOT error or
# throw away the message." gRPC-Web (PROTOCOL-WEB.md) has no other rule for it.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

cd "$dir"
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund --save-exact grpc-web@2.1.1 jsdom@26.1.0

cat > trial.js <<'JS'
import http from 'node:http';
import grpcWeb from 'grpc-web';
import { JSDOM, VirtualConsole } from 'jsdom';

const METHOD = '/trial.Trial/Watch';
const frame = (flags, bytes) => {
  const head = Buffer.alloc(5, flags);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
};

// Answers with one message, and then with status 9 and the grpc-message that x-say asks for.
const server = http.createServer((request, response) => {
  request.resume();
  const trailers = `grpc-status: 9\r\ngrpc-message: ${request.headers['x-say']}\r\n`;
  const body = Buffer.concat([frame(0, Buffer.from('x')), frame(0x80, Buffer.from(trailers))]);
  response.writeHead(200, { 'content-type': 'application/grpc-web-text' }).end(body.toString('base64'));
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const { window } = new JSDOM('', { url: base, virtualConsole: new VirtualConsole() });
globalThis.XMLHttpRequest = window.XMLHttpRequest;

let told;
window.addEventListener('error', (event) => told.push(`(window: ${event.error})`));
const method = new grpcWeb.MethodDescriptor(
  METHOD, 'server_streaming', Object, Object, () => new Uint8Array(), () => ({}));
for (const message of ['later', '100%25 done', '100% done']) {
  told = [];
  const client = new grpcWeb.GrpcWebClientBase({ format: 'text' });
  await new Promise((resolve) => {
    const stream = client.serverStreaming(base + METHOD, {}, { 'x-say': message }, method);
    stream.on('data', () => told.push('data'));
    stream.on('error', (error) => told.push(`error ${error.code} "${error.message}"`));
    stream.on('status', (status) => told.push(`status ${status.code}`));
    stream.on('end', () => resolve(told.push('end')));
    setTimeout(resolve, 10000).unref();
  });
  console.log(`  grpc-message: ${message} -> ${told.join(', ')}`);
}
server.close();
window.close();
JS
seen=$(node trial.js)

echo "A server stream of grpc-web 2.1.1: one message, then status 9 in the frame of trailers."
echo "Expected: data, error 9, status 9, end each time; the message of the third may be the text as it is."
echo "Seen:"
echo "$seen"
expected='  grpc-message: later -> data, error 9 "later", status 9, end
  grpc-message: 100%25 done -> data, error 9 "100% done", status 9, end
  grpc-message: 100% done -> data, (window: URIError: URI malformed), end'
if [ "$seen" = "$expected" ]; then
    echo "As described: the third stream has failed, too, and nothing of the stream says so."
else
    echo "CHANGED: this is no longer what grpc-web does."
    exit 1
fi

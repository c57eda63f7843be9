'use strict';
// What the client and the server of the port share.

const fs = require('node:fs');
const path = require('node:path');

const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const PROTO = path.join(__dirname, '../proto/interop.proto');

const definition = loader.loadSync(PROTO, { keepCase: true, defaults: true, arrays: true });

/** What reflection describes. */
exports.described = loader.loadSync(path.join(__dirname, 'described.proto'));

/** The services of package grpc.testing. */
exports.services = grpc.loadPackageDefinition(definition).grpc.testing;

/** The keys of the case custom_metadata: as header, as trailer. */
exports.INITIAL = 'x-grpc-test-echo-initial';
exports.TRAILING = 'x-grpc-test-echo-trailing-bin';

/** A payload. */
exports.zeros = (size) => ({ body: Buffer.alloc(size) });

/** A file named on the command line, or null. */
exports.readFile = (name) => (name ? fs.readFileSync(name) : null);

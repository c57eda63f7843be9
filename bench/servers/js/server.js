// A plain HTTP/2 server: /echo is answered at once, /hold begins to be answered, and its end is told.
'use strict';

const http2 = require('node:http2');

const server = http2.createServer();
server.on('stream', (stream, headers) => {
  // How a stream ends is told below.
  stream.on('error', () => {});
  stream.respond({ ':status': 200 });
  if (headers[':path'] !== '/hold') {
    stream.end('ok');
    return;
  }
  stream.write('x');
  stream.on('close', () => {
    const nanos = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e3)) * 1000n;
    console.log(`gone ${headers['x-call']} ${nanos}`);
  });
});
server.listen(0, '127.0.0.1', () => console.log(`listening 127.0.0.1:${server.address().port}`));

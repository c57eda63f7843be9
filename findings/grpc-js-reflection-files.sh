#!/usr/bin/env bash
# The reflection of a grpc-js server sends proto2 files as proto3, and extensions as fields called ".package.name".
#
# Surprising: reflection is there to send the FileDescriptorProto that protoc would have made. For a server
# whose files were read by @grpc/proto-loader, @grpc/reflection sends other ones: one a package in place of one
# a source (a.proto and b.proto of package trial.v1 become trial_v1.proto), without imports (grpc-node issue
# 3034 says so), with syntax "proto3" for a file of proto2, though its enum begins with 1; and each extension
# a second time, as a field of the message that it extends, with a name that is none, ".trial.v1.maker", and
# a number of an extension range.
# Why it matters: to link the files it is not enough to guess the imports. protobuf's own pools refuse an open
# enum that does not begin with 0, and the name of that field; so does everything made of them. A client has
# to mend all of it before it can make a call. google/protobuf/descriptor.proto is proto2 and has such enums:
# it is imported by google/api/annotations.proto, so by most services with an HTTP mapping.
#
# Version: @grpc/reflection 1.0.4, @grpc/proto-loader 0.8.1 with protobufjs 7.6.6, @grpc/grpc-js 1.14.7;
# links the files: Python's protobuf 7.36.0.
# Source: descriptor.proto: FileDescriptorProto.syntax ("proto2" where it is empty), "name: file name, relative
# to root of source tree"; FieldDescriptorProto.extendee; the protobuf language guide, enums of proto3.
set -euo pipefail

dir=$(mktemp -d)
server=
stop() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    wait
    rm -rf "$dir"
}
trap stop EXIT
cd "$dir"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check protobuf==7.36.0
echo '{"private": true}' > package.json
npm install --silent --no-audit --no-fund --save-exact @grpc/grpc-js@1.14.7 @grpc/proto-loader@0.8.1 \
    @grpc/reflection@1.0.4 protobufjs@7.6.6

cat > a.proto <<'PROTO'
syntax = "proto2";
package trial.v1;
import "b.proto";

message Wall {
  optional Colour colour = 1;
  extensions 100 to 199;
}

extend Wall {
  optional string maker = 100;
}

service Painter {
  rpc Paint(Wall) returns (Wall);
}
PROTO
cat > b.proto <<'PROTO'
syntax = "proto2";
package trial.v1;

enum Colour {
  RED = 1;
  BLUE = 2;
}
PROTO

cat > server.js <<'JS'
const grpc = require('@grpc/grpc-js');
const { loadSync } = require('@grpc/proto-loader');
const { ReflectionService } = require('@grpc/reflection');

const server = new grpc.Server();
const loaded = loadSync('a.proto');
server.addService(loaded['trial.v1.Painter'], { paint: (call, callback) => callback(null, call.request) });
new ReflectionService(loaded).addToServer(server);
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(port);
});
JS

# Prints the files that describe trial.v1.Painter, a line each.
cat > client.js <<'JS'
const grpc = require('@grpc/grpc-js');
const { loadSync } = require('@grpc/proto-loader');
const { readdirSync } = require('node:fs');

const root = 'node_modules/@grpc/reflection/build/proto';
const proto = readdirSync(root, { recursive: true }).find((name) => name.endsWith('v1/reflection.proto'));
const { ServerReflection } = grpc.loadPackageDefinition(loadSync(`${root}/${proto}`)).grpc.reflection.v1;
const client = new ServerReflection(`127.0.0.1:${process.argv[2]}`, grpc.credentials.createInsecure());
const call = client.serverReflectionInfo({ deadline: Date.now() + 30_000 });
call.on('error', (error) => { throw error; });
call.on('data', (answer) => {
  for (const file of answer.fileDescriptorResponse.fileDescriptorProto) {
    console.log(file.toString('base64'));
  }
  call.end();
});
call.write({ fileContainingSymbol: 'trial.v1.Painter' });
JS

cat > look.py <<'PY'
"""What the files are, and whether a pool links them: as they come, as proto2, and without the second field."""
import base64
import sys

from google.protobuf import descriptor_pb2, descriptor_pool


def link(file):
    try:
        descriptor_pool.DescriptorPool().AddSerializedFile(file.SerializeToString())
    except TypeError:
        return "refused"
    return "linked"


for line in sys.stdin:
    file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(line))
    wall = file.message_type[0]
    print(file.name, file.syntax, "imports", list(file.dependency))
    print("enum", [f"{value.name} = {value.number}" for value in file.enum_type[0].value])
    print("fields", [f"{field.name} = {field.number}" for field in wall.field])
    print("extensions", [f"{field.name} = {field.number}" for field in file.extension])
    print("as it comes:", link(file))
    file.syntax = "proto2"
    print("as proto2:", link(file))
    del wall.field[1]
    print("without the field, too:", link(file))
PY

node server.js > port &
server=$!
for _ in $(seq 300); do [ -s port ] && break; sleep 0.1; done
seen=$(node client.js "$(cat port)" | venv/bin/python look.py)

want="trial_v1.proto proto3 imports []
enum ['RED = 1', 'BLUE = 2']
fields ['colour = 1', '.trial.v1.maker = 100']
extensions ['maker = 100']
as it comes: refused
as proto2: refused
without the field, too: linked"

echo "$seen"
if [ "$seen" != "$want" ]; then
    printf 'CHANGED: expected\n%s\n' "$want" >&2
    exit 1
fi

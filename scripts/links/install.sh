#!/usr/bin/env bash
# Installs the callers of scripts/links into $TOOLS_DIR (default: .tools in the repository's root): grpc-go's, grpc-java's,
# and a Python with C-core, the one that `make e2e` has; iproute2, Java and Maven with apt, where they are missing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../steps.sh"

main() {
    PATH=$PATH:/usr/sbin need tc iproute2
    need_go "$here/go"
    need javac default-jdk-headless
    need mvn maven
    need_venv "$here/../e2e/requirements.txt"
    step links make_go "$here/install.sh" "$here/go"
    step links-java make_java "$here/install.sh" "$here/java"
}

make_go() {
    (cd "$here/go" && go build -buildvcs=false -o "$tools/bin/go-links" .)
}

make_java() {
    java_program "$here/java" Move "$tools/links-java"
}

main

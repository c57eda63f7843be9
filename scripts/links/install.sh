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
    rm -rf "$tools/links-java" && mkdir -p "$tools/links-java/classes"
    (
        cd "$here/java"
        mvn -q -B -Dstyle.color=never dependency:copy-dependencies \
            -DincludeScope=runtime -DoutputDirectory="$tools/links-java/lib"
    )
    # What the official classes are annotated with is not among what they need to run.
    javac -nowarn -Xlint:none -d "$tools/links-java/classes" -cp "$tools/links-java/lib/*" "$here/java/Move.java"
}

main

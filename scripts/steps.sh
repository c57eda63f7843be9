# Sourced by install scripts: makes things in $tools, each only when its inputs have changed.

tools=${TOOLS_DIR:-$(dirname "${BASH_SOURCE[0]}")/../.tools}
mkdir -p "$tools/bin" "$tools/stamps"
tools=$(cd "$tools" && pwd)
export CGO_ENABLED=0

# step NAME FUNCTION INPUT... runs FUNCTION unless it has already run with these inputs.
step() {
    local name=$1 make=$2 now stamp="$tools/stamps/$1"
    shift 2
    now=$(find "$@" -type f -print0 | sort -z | xargs -0 sha256sum | cut -d' ' -f1 | sha256sum)
    if [ "$(cat "$stamp" 2>/dev/null)" = "$now" ]; then
        return
    fi
    echo "making $name"
    rm -f "$stamp"
    "$make"
    echo "$now" >"$stamp"
}

# need_venv REQUIREMENTS makes the Python that all Python peers run on.
need_venv() {
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    requirements=$1
    step venv make_venv "$requirements"
}

make_venv() {
    rm -rf "$tools/venv"
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
}

# need_go MODULE: only a Go that is new enough can read go.mod's version line without an error.
need_go() {
    has_go "$1" || apt_install golang-go
    has_go "$1" || fail "Go is missing or older than go.mod asks for: $(grep '^go ' "$1/go.mod")"
}

has_go() {
    (cd "$1" && GOTOOLCHAIN=local go list -m >/dev/null 2>&1)
}

# java_program FOLDER CLASS OUT: what the folder's pom.xml names goes to OUT/lib, the class to OUT/classes.
java_program() {
    rm -rf "$3" && mkdir -p "$3/classes"
    (
        cd "$1"
        mvn -q -B -Dstyle.color=never dependency:copy-dependencies \
            -DincludeScope=runtime -DoutputDirectory="$3/lib"
    )
    # What the official classes are annotated with is not among what they need to run.
    javac -nowarn -Xlint:none -d "$3/classes" -cp "$3/lib/*" "$1/$2.java"
}

# need PROGRAM PACKAGE
need() {
    command -v "$1" >/dev/null || apt_install "$2"
}

apt_install() {
    command -v apt-get >/dev/null || fail "$1 is missing"
    echo "installing $1"
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$1" >/dev/null
}

fail() {
    echo "${0##*/}: $1" >&2
    exit 1
}

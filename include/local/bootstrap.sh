#!/bin/sh
# Makes .venv with everything that requirements-local.txt names; does nothing when it already holds that.
# Speaks on stderr only, so that `make -s dsn` prints nothing but the connection string.
set -eu

lock=requirements-local.txt
stamp=.venv/installed

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# The folder belongs into the stamp: a virtual environment does not survive a move of the checkout.
wanted="$(cksum < "$lock") $(pwd)"
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

find_python() {
    # 3.11 first: it is what the tests run on.
    for name in python3.11 python3.12 python3.13 python3 python; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s' "$name"
            return
        fi
    done
    fail "No Python 3.11 or newer was found (python3 is: $(python3 --version 2>&1 || true))." \
        "Install one, for example: apt-get install python3 python3-venv, or from https://www.python.org/downloads/."
}

# Runs a command, with a line every 15 seconds while it works and its own words only when it fails.
step() {
    title=$1
    shift
    say "  $title"
    log=$(mktemp)
    "$@" > "$log" 2>&1 &
    worker=$!
    trap 'kill "$worker" 2>/dev/null || true; rm -f "$log"' EXIT
    ticks=0
    while kill -0 "$worker" 2>/dev/null; do
        sleep 0.2
        ticks=$((ticks + 1))
        [ $((ticks % 75)) -ne 0 ] || say "    … still at it after $((ticks / 5)) s"
    done
    if ! wait "$worker"; then
        tail -n 15 "$log" >&2
        return 1
    fi
    rm -f "$log"
    trap - EXIT
}

rm -f "$stamp" 2>/dev/null || true
if ! { .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' &&
    .venv/bin/python -m pip --version &&
    head -n 1 .venv/bin/pip | grep -qF "$(pwd)/"; } > /dev/null 2>&1; then
    python=$(find_python)
    rm -rf .venv
    step "Making .venv with $("$python" --version 2>&1)" "$python" -m venv .venv || {
        rm -rf .venv
        fail "$python cannot make a virtual environment. On Debian or Ubuntu: apt-get install" \
            "python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv. Otherwise see that the disk has room and the folder is writable."
    }
fi
[ -x .venv/bin/uv ] || step "Installing uv" .venv/bin/python -m pip install --quiet --disable-pip-version-check uv ||
    fail "pip could not install uv. Check the network and the proxy or index set for pip (pip config list), then run make again."
step "Installing $(grep -c == "$lock") packages" .venv/bin/uv pip sync --quiet --compile-bytecode --python .venv/bin/python "$lock" ||
    fail "The packages of $lock could not be installed. Check the network, the disk's room and pip's index, then run make again."
printf '%s\n' "$wanted" > "$stamp"

#!/usr/bin/env bash
# Makes a machine ready: `setup.sh build` for compiling, `demo` (the default) for that and a container daemon,
# `test` for that and what only the tests call. Installs what is missing and nothing else; a second call finds all of
# it and is done at once. Installing and starting a daemon needs Debian and root; elsewhere it says what is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly purpose="${1:-demo}"
readonly log=target/dockerd.log
readonly daemon_patience_s=40

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# --- what is missing ------------------------------------------------------------------------------------------------

packages=()

# want COMMAND PACKAGE...: the packages, unless the command is there.
want() {
    local command="$1"
    shift
    have "$command" || packages+=("$@")
}

# Plugins are compiled to WASM: by this toolchain if it has the target, else by Debian's compiler, which brings the
# sources of its standard library.
want_wasm() {
    local libdir
    libdir="$(rustc --print target-libdir --target wasm32-unknown-unknown 2>/dev/null || true)"
    [[ -n "$libdir" && -d "$libdir" ]] && return
    [[ -x /usr/bin/rustc && -x /usr/bin/cargo && -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ]] &&
        return
    packages+=(rustc-web cargo-web rust-web-src)
}

daemon_answers() { have docker && docker info --format '{{.ServerVersion}}' >/dev/null 2>&1; }

# The test image is made of one static busybox.
want_busybox() {
    local found
    found="$(command -v busybox || true)"
    [[ -n "$found" ]] && ! ldd "$found" >/dev/null 2>&1 && return
    [[ "$purpose" == demo ]] && docker image inspect runbook-test:1 runbook-test:2 >/dev/null 2>&1 && return
    packages+=(busybox-static)
}

install_packages() {
    ((${#packages[@]})) || return 0
    have apt-get || die "missing: ${packages[*]} (Debian's names); install them and call this again"
    [[ "$(id -u)" == 0 ]] || die "missing: ${packages[*]}; as root: apt-get install ${packages[*]}"
    say "installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || say "apt-get update failed; trying with the lists that are here"
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
    hash -r
}

# --- the daemon -----------------------------------------------------------------------------------------------------

# start_daemon FLAG...: true as soon as it answers, false as soon as it has given up.
start_daemon() {
    local pid waited
    say "starting dockerd${*:+ $*} (log: $log)"
    setsid dockerd "$@" </dev/null >"$log" 2>&1 9>&- &
    pid=$!
    for ((waited = 0; waited < daemon_patience_s * 5; waited++)); do
        daemon_answers && return 0
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.2
    done
    kill "$pid" 2>/dev/null || true
    return 1
}

# A daemon that was killed leaves its pid behind; once another process has that pid no new daemon starts.
forget_dead() {
    local program="$1" file="$2"
    [[ -s "$file" ]] || return 0
    [[ "$(cat "/proc/$(cat "$file")/comm" 2>/dev/null || true)" == "$program" ]] || rm -f "$file"
}

ensure_daemon() {
    daemon_answers && return
    [[ -z "${DOCKER_HOST:-}" ]] || die "no daemon answers at DOCKER_HOST=$DOCKER_HOST; start it or unset DOCKER_HOST"
    [[ "$(id -u)" == 0 ]] || die "no container daemon answers; start Docker, or run this as root"
    forget_dead dockerd /var/run/docker.pid
    forget_dead containerd /var/run/docker/containerd/containerd.pid
    # Each fallback gives up something that a poor machine may lack: packet filter rules, then overlay file systems.
    start_daemon && return
    # One that was killed a moment ago may still hold its files.
    sleep 3
    start_daemon && return
    start_daemon --iptables=false && return
    start_daemon --storage-driver=vfs && return
    start_daemon --iptables=false --storage-driver=vfs && return
    tail -n 20 "$log" >&2
    die "dockerd does not start; its last words are above, all of them in $log"
}

# --- all together ---------------------------------------------------------------------------------------------------

case "$purpose" in
build | demo | test) ;;
*) die "usage: setup.sh [build|demo|test]" ;;
esac

mkdir -p target
exec 9>target/setup.lock
flock 9

have cargo || die "Rust is missing; see https://rustup.rs"
want cc gcc libc6-dev
want_wasm
if [[ "$purpose" != build ]]; then
    want docker docker.io iptables
    # A client without a daemon to talk to needs one here.
    have dockerd || [[ -n "${DOCKER_HOST:-}" ]] || daemon_answers || packages+=(docker.io iptables)
    want_busybox
fi
if [[ "$purpose" == test ]]; then
    want sqlite3 sqlite3
    want python3 python3
    want openssl openssl
    want strace strace
    want age age
fi
install_packages
[[ "$purpose" == build ]] || ensure_daemon
# Containers are copied on two versions of Docker.
[[ "$purpose" != test ]] || tests/scripts/newer-docker.sh fetch

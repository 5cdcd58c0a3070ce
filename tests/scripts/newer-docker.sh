#!/usr/bin/env bash
# Docker and Compose of the next Debian, beside what the machine has: for the tests that compare two versions.
#
#   newer-docker.sh fetch        takes the packages apart into target/newer-docker/root; done before, it does nothing
#   newer-docker.sh run PID DIR  runs a daemon on the socket DIR/docker.sock for as long as the process PID lives, then
#                                stops it and removes DIR; in a network of its own, so that it touches nothing of the machine's
#
# The programs of the next Debian run here because they need no newer C library; its `runc` does, so the machine's is used.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly suite=trixie
readonly packages=(docker.io containerd docker-compose)
readonly here="$PWD/target/newer-docker"
readonly root="$here/root"
readonly stop_patience_s=20

say() { printf 'newer-docker: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The mirror that the machine itself installs from.
mirror() {
    local release
    release="$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)"
    apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 2>/dev/null |
        awk -v release="$release" '$1 == release && $2 == "main" && !found { print $3; found = 1 }'
}

fetch() {
    [[ -e "$here/done" ]] && return
    command -v apt-get >/dev/null || die "the tests compare with the Docker of Debian $suite, which needs apt-get to fetch"
    local uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed=""
    uri="$(mirror)"
    [[ -n "$uri" ]] || die "no Debian mirror among the machine's package sources, so that Docker of Debian $suite cannot be fetched"
    [[ -e "$keyring" ]] && signed="[signed-by=$keyring] "
    rm -rf "$here"
    mkdir -p "$here"/{lists/partial,cache/archives/partial,debs}
    echo "deb $signed$uri $suite main" >"$here/sources.list"
    local apt=(apt-get -qq -o Dir::Etc::sourcelist="$here/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o Dir::State::lists="$here/lists" -o Dir::Cache="$here/cache" -o APT::Sandbox::User=root
        -o Acquire::Retries=3 -o APT::Update::Error-Mode=any)
    say "fetching ${packages[*]} of Debian $suite"
    "${apt[@]}" update >&2 || die "the packages of Debian $suite cannot be reached; see above"
    (cd "$here/debs" && "${apt[@]}" download "${packages[@]}" >&2) ||
        die "cannot download ${packages[*]} of Debian $suite; see above"
    local package
    for package in "$here"/debs/*.deb; do
        dpkg -x "$package" "$root"
    done
    rm -rf "$here"/{lists,cache,debs}
    touch "$here/done"
}

answers() { docker --host "unix://$1" version --format '{{.Server.Version}}' >/dev/null 2>&1; }

run() {
    local owner="$1" dir="$2" daemon
    [[ "$(id -u)" == 0 ]] || die "a second Docker daemon needs root"
    mkdir -p "$dir"
    # Without a network of its own it would add its bridge and its rules to the machine's.
    PATH="$root/usr/sbin:$root/usr/bin:$PATH" setsid unshare --net sh -c '
        busybox ip link set lo up
        exec dockerd --host "unix://$1/docker.sock" --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid"
    ' sh "$dir" </dev/null >"$here/dockerd.log" 2>&1 &
    daemon=$!
    while [[ -d "/proc/$owner" ]] && kill -0 "$daemon" 2>/dev/null; do sleep 0.5; done
    local gone=0
    answers "$dir/docker.sock" && docker --host "unix://$dir/docker.sock" ps -q |
        xargs -r docker --host "unix://$dir/docker.sock" kill >/dev/null 2>&1 || true
    kill "$daemon" 2>/dev/null || true
    while kill -0 "$daemon" 2>/dev/null && ((gone++ < stop_patience_s * 5)); do sleep 0.2; done
    kill -9 "$daemon" 2>/dev/null || true
    local mounted
    for mounted in $(awk -v dir="$dir/" 'index($2, dir) == 1 { print $2 }' /proc/mounts | sort -r); do
        umount "$mounted" || true
    done
    rm -rf "$dir"
}

case "${1:-}" in
fetch) fetch ;;
run) run "${2:?PID}" "${3:?DIR}" ;;
*) die "usage: newer-docker.sh fetch | run PID DIR" ;;
esac

#!/usr/bin/env bash
# The same work on runbook and on what else can be installed from package registries: Ansible, DBOS on SQLite, Prefect and
# Restate. `compare.sh` measures all, `compare.sh dbos restate` those named. Everything that is installed goes into
# target/compare/; who cannot be installed is named and left out. What is measured: docs/performance.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly cache="$PWD/target/compare"
readonly binary="${RUNBOOK_BINARY:-$PWD/target/release/runbook}"

# Pinned, so that two runs of this script measure the same.
readonly ansible=ansible-core==2.19.14
readonly dbos=dbos==3.4.0
readonly prefect=prefect==3.8.8
# A newer FastAPI no longer takes an argument that this Prefect gives it.
readonly prefect_needs=fastapi==0.139.0
readonly restate_server=@restatedev/restate-server@1.7.12
readonly restate_sdk=@restatedev/restate-sdk@1.17.2

say() { printf 'compare: %s\n' "$*" >&2; }

# Each has an environment of its own: what one requires need not suit the next.
python_package() {
    local wanted="$2" venv="$cache/venv-$1"
    shift
    [[ -e "$venv/installed-$wanted" ]] && return
    command -v python3 >/dev/null || return 1
    rm -rf "$venv"
    python3 -m venv "$venv" &&
        "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" &&
        touch "$venv/installed-$wanted"
}

# No install scripts: one of the dependencies reports home in its.
node_packages() {
    local at="$cache/restate" mark
    mark="$at/installed-$(basename "$restate_server")-$(basename "$restate_sdk")"
    [[ -e "$mark" ]] && return
    { command -v npm && command -v node; } >/dev/null || return 1
    rm -rf "$at"
    mkdir -p "$at"
    (cd "$at" && npm install --silent --ignore-scripts --no-audit --no-fund "$restate_server" "$restate_sdk") &&
        [[ -x "$at/node_modules/.bin/restate-server" ]] &&
        touch "$mark"
}

install() {
    case "$1" in
        ansible) python_package ansible "$ansible" ;;
        dbos) python_package dbos "$dbos" ;;
        prefect) python_package prefect "$prefect" "$prefect_needs" ;;
        restate) node_packages ;;
        *)
            say "no such contestant: $1"
            exit 2
            ;;
    esac
}

command -v python3 >/dev/null || {
    say "python3 is missing: nothing can be measured"
    exit 1
}
[[ -x "$binary" ]] || {
    say "no release build: cargo build --release --locked"
    exit 1
}
mkdir -p "$cache"
present=()
for contestant in "${@:-ansible dbos prefect restate}"; do
    # Unquoted on purpose: the default is a list.
    for name in $contestant; do
        if install "$name"; then present+=("$name"); else say "$name cannot be installed here and is left out"; fi
    done
done
exec python3 -B tests/scripts/compare/measure.py "$binary" "$cache" "${present[@]}"

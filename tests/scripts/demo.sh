#!/usr/bin/env bash
# The main job, for real: plan the restart of a three-replica service, run it, kill the engine in the middle of a
# second run, resume that run with nothing done twice, and verify the audit log.
set -euo pipefail
cd "$(dirname "$0")/../.."

export RUNBOOK_DATA_DIR="$PWD/target/demo"
readonly program="$PWD/target/quick/runbook"
runbook() { "$program" "$@"; }

tell() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
show() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }

# What Docker says while it happens: its own memory of events is short, and health checks fill it.
readonly seen="target/demo-events"
watch_starts() {
    docker events --filter type=container --filter event=start \
        --filter label=com.docker.compose.project=shop --format '{{.Actor.Attributes.name}}' >"$seen" &
    watcher=$!
    trap 'kill "$watcher" 2>/dev/null || true' EXIT
    sleep 0.5
}

cargo build --profile quick --locked
tests/scripts/demo-service.sh up
rm -rf "$RUNBOOK_DATA_DIR"
mkdir -p "$RUNBOOK_DATA_DIR"

tell 'What would a restart do? Nothing is touched.'
show runbook plan service-restart -p service=shop/web

tell 'Do it.'
show runbook run service-restart -p service=shop/web --yes --reason 'demo'

tell 'Again, and kill the engine (kill -9) in the middle.'
watch_starts
# Not the function: the process to be killed would be a shell that waits for the command.
"$program" run service-restart -p service=shop/web --yes --reason 'demo, to be killed' &
command=$!
sleep "${KILL_AFTER_S:-2}"
# The command as well: it would begin another engine.
kill -9 "$command" "$(cat "$RUNBOOK_DATA_DIR/engine.lock")" 2>/dev/null || true
wait "$command" 2>/dev/null || true
echo "killed; the run is unfinished"

tell 'Carry on where it stopped.'
show runbook runs resume --yes
tell 'What Docker saw since the second run began: each replica started once.'
sleep 1
sort "$seen" | uniq -c

tell 'Was everything written down, and is it untouched?'
show runbook audit verify

#!/usr/bin/env bash
# Feeds every parser of outside bytes: `fuzz.sh [MINUTES] [TARGET...]` runs each fuzz target (all of `tests/fuzz/targets`)
# for so many minutes, one after the other, and prints what each did. Ends with 1 if a target crashed; the bytes that did
# it are then in `tests/fuzz/crashes/TARGET`, where `make test` replays them. `fuzz.sh keep [TARGET...]` adds what was
# found and covers anything new to the kept corpus, short inputs only.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly root="$PWD"
readonly target_dir="${FUZZ_TARGET_DIR:-$root/target/fuzz}"
# Our code is safe Rust: what a sanitizer of addresses could find is not worth half of the executions. `address` works too.
readonly sanitizer="${FUZZ_SANITIZER:-none}"
# No input of a target may take longer, or more memory.
readonly patience_s=25
readonly memory_mb=2048
# The longest input that is made up, and the longest that is kept.
readonly longest_bytes=8192
readonly longest_kept_bytes=600

say() { printf 'fuzz: %s\n' "$*" >&2; }

all_targets() { find tests/fuzz/targets -name '*.rs' -printf '%f\n' | sed 's/\.rs$//' | sort; }

# Other seeds of a target, read where they are.
more_seeds() {
    case "$1" in
    runbooks) echo runbooks tests/broken ;;
    events | exports) echo tests/journals/v1 ;;
    esac
}

# The instrumentation is not a stable feature; this is how a stable compiler is told to allow it.
build() {
    command -v c++ >/dev/null 2>&1 || { say "libFuzzer is written in C++: apt-get install g++"; exit 1; }
    command -v cargo-fuzz >/dev/null 2>&1 || cargo install cargo-fuzz --locked
    RUSTC_BOOTSTRAP=1 cargo fuzz build --fuzz-dir tests/fuzz --sanitizer "$sanitizer" --target-dir "$target_dir" "$@"
}

program() { echo "$target_dir/$(rustc -vV | sed -n 's/^host: //p')/release/$1"; }

# Prints one line; false if the target crashed.
run() {
    local target="$1" seconds="$2" work="$target_dir/corpus/$1" crashes="tests/fuzz/crashes/$1" log="$target_dir/$1.log"
    local seeds=() before after executions crashed
    mkdir -p "$work" "$crashes"
    read -ra seeds <<<"tests/fuzz/corpus/$target $(more_seeds "$target")"
    before="$(find "$crashes" -type f | wc -l)"
    "$(program "$target")" "$work" "${seeds[@]}" -max_total_time="$seconds" -timeout="$patience_s" \
        -rss_limit_mb="$memory_mb" -max_len="$longest_bytes" -artifact_prefix="$crashes/" -print_final_stats=1 \
        >"$log" 2>&1 && crashed=0 || crashed=1
    rmdir --ignore-fail-on-non-empty "$crashes" tests/fuzz/crashes 2>/dev/null || true
    executions="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    after="$(find "$crashes" -type f 2>/dev/null | wc -l)"
    printf '%-14s %12s executions %6d s %4d crashes\n' "$target" "${executions:-?}" "$seconds" "$((after - before))"
    ((crashed == 0)) && return
    say "$target ended badly; the end of $log:"
    tail -n 40 "$log" >&2
    return 1
}

keep() {
    local target="$1" found
    found="$(mktemp -d)"
    find "$target_dir/corpus/$target" -type f -size "-${longest_kept_bytes}c" -exec cp {} "$found" \;
    "$(program "$target")" -merge=1 "tests/fuzz/corpus/$target" "$found" >/dev/null 2>&1
    rm -rf "$found"
    du -sb "tests/fuzz/corpus/$target"
}

main() {
    local minutes="${1:-3}" failed=0 target targets
    shift || true
    targets=("$@")
    if ((${#targets[@]})); then
        for target in "${targets[@]}"; do build "$target"; done
    else
        mapfile -t targets < <(all_targets)
        build
    fi
    for target in "${targets[@]}"; do
        if [[ "$minutes" == keep ]]; then
            keep "$target"
        else
            run "$target" "$((minutes * 60))" || failed=1
        fi
    done
    return "$failed"
}

main "$@"

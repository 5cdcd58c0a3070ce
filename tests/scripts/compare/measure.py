"""Gives runbook and each contestant the same shapes of work, one after the other, and prints a table.

The time is that of the one who waits: from the request to the answer, client and server on this machine. Everyone does
each shape once before it counts. Runbook is measured before and after the others, so that a machine that changes its pace
shows; all its times count.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

import contestants
import own

# Shape, its units, and what the units are.
SHAPES = {
    "40 steps": ("40 steps in one run", 40),
    "1000 steps": ("1,000 steps in one run", 1000),
    "runs in turn": ("1,000 runs of one step, in turn", 1000),
    "runs at once": ("1,000 runs of one step, at once", 1000),
}


def table(results: dict[str, dict[str, list[float]]], base: str) -> None:
    """Prints the medians per unit in ms, and how many times the base's they are."""
    print("\n| | " + " | ".join(words for words, _ in SHAPES.values()) + " |")
    print("|---|" + "---|" * len(SHAPES))
    for name, shapes in results.items():
        cells = []
        for shape in SHAPES:
            times, against = shapes.get(shape), results[base].get(shape)
            if not times:
                cells.append("n/a")
                continue
            middle = statistics.median(times)
            cell = f"{middle:.3f} ms" if middle < 10 else f"{middle:.0f} ms"
            if name != base and against:
                cell += f" ({middle / statistics.median(against):.1f}x)"
            cells.append(cell)
        print(f"| {name} | " + " | ".join(cells) + " |")


def merge(into: dict, more: dict) -> None:
    """Adds times to those that there are."""
    for name, shapes in more.items():
        for shape, times in shapes.items():
            into.setdefault(name, {}).setdefault(shape, []).extend(times)


def main() -> None:
    """See the module."""
    binary, cache = sys.argv[1], pathlib.Path(sys.argv[2])
    work = cache / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    results: dict[str, dict[str, list[float]]] = {}
    merge(results, own.measure(binary, work / "runbook-before"))
    for name in sys.argv[3:]:
        print(f"compare: {name}", file=sys.stderr, flush=True)
        began = time.monotonic()
        try:
            merge(results, getattr(contestants, name)(cache, work))
        except (OSError, subprocess.SubprocessError, ValueError, TimeoutError) as error:
            print(f"compare: {name} could not be measured: {error}", file=sys.stderr)
        print(f"compare: {name} took {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    merge(results, own.measure(binary, work / "runbook-after"))
    processes = own.processes(binary, work / "runbook-processes")
    (cache / "last.json").write_text(json.dumps(results, indent=1))
    table(results, own.WRITES)
    print()
    for words, each_ms in processes.items():
        print(f"1,000 runs of one step, {words}: {each_ms:.2f} ms each")
    print(f"load average over the last minute: {os.getloadavg()[0]:.2f}")
    shutil.rmtree(work, ignore_errors=True)


main()

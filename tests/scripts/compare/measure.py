"""Gives runbook and each contestant the same shapes of work, in turn, and prints a table.

The time is that of the one who waits: from the request to the answer, client and server on this machine. Everyone does
each shape once before it counts. Runbook is measured before and after each of the others, and each is held against the two
measurements that surround it, so that a machine that changes its pace spoils the figures more than the ratios.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

import contestants
import own

# What is measured, and what it is called.
SHAPES = {
    "40 steps": "40 steps in one run",
    "1000 steps": "1,000 steps in one run",
    "runs in turn": "1,000 runs of one step, in turn",
    "runs at once": "1,000 runs of one step, at once",
}


Times = dict[str, list[float]]


def cell(times: list[float] | None, against: list[float] | None) -> str:
    """The median in ms, and how many times the other's it is."""
    if not times:
        return "n/a"
    middle = statistics.median(times)
    text = f"{middle:.2f} ms" if middle < 10 else f"{middle:.0f} ms"
    return f"{text} ({middle / statistics.median(against):.1f}x)" if against else text


def row(name: str, shapes: Times, base: Times | None) -> None:
    """A line of the table."""
    cells = [cell(shapes.get(shape), base.get(shape) if base else None) for shape in SHAPES]
    print(f"| {name} | " + " | ".join(cells) + " |")


def joined(parts: list[dict[str, Times]], name: str) -> Times:
    """All times of several measurements."""
    return {shape: [time for part in parts for time in part[name][shape]] for shape in SHAPES}


def contestant(name: str, cache: pathlib.Path, work: pathlib.Path) -> dict[str, Times]:
    """Measures one; nothing if that fails, which is told."""
    print(f"compare: {name}", file=sys.stderr, flush=True)
    try:
        return getattr(contestants, name)(cache, work)
    except (OSError, subprocess.SubprocessError, ValueError, TimeoutError) as error:
        print(f"compare: {name} could not be measured: {error}", file=sys.stderr)
        return {}


def main() -> None:
    """See the module."""
    binary, cache = sys.argv[1], pathlib.Path(sys.argv[2])
    work = cache / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    ours = [own.measure(binary, work / "runbook-0")]
    others: list[tuple[str, Times, Times]] = []
    for number, name in enumerate(sys.argv[3:], start=1):
        found = contestant(name, cache, work)
        ours.append(own.measure(binary, work / f"runbook-{number}"))
        around = joined(ours[-2:], own.WRITES)
        others += [(words, shapes, around) for words, shapes in found.items()]
    processes = own.processes(binary, work / "runbook-processes")
    (cache / "last.json").write_text(json.dumps({"runbook": ours, "others": others}, indent=1))
    print("\n| | " + " | ".join(SHAPES.values()) + " |")
    print("|---|" + "---|" * len(SHAPES))
    writes = joined(ours, own.WRITES)
    row(own.WRITES, writes, None)
    row(own.COMPUTES, joined(ours, own.COMPUTES), writes)
    for words, shapes, around in others:
        row(words, shapes, around)
    print()
    for words, each_ms in processes.items():
        print(f"{words}: {each_ms:.1f} ms")
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"load average over 1, 5 and 15 minutes: {load}")
    shutil.rmtree(work, ignore_errors=True)


main()

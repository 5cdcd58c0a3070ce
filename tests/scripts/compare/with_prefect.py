"""The shapes as Prefect flows; prints their times in ms per step or run as JSON.

Tasks as they come: their states are reported to the server, their answers not kept. 1,000 flows would take minutes, so a
hundred are measured.
"""

import asyncio
import json

from prefect import flow, task
from timing import measure

RUNS = 100


@task
def keep(n: int) -> int:
    """A trivial step."""
    return n


@flow
def steps(count: int) -> int:
    """One after the other."""
    for n in range(count):
        keep(n)
    return count


@task
async def keep_async(n: int) -> int:
    """A trivial step."""
    return n


@flow
async def one() -> int:
    """For many at once."""
    return await keep_async(1)


def in_turn(count: int) -> None:
    """The next begins when the one before has ended."""
    for _ in range(count):
        steps(1)


def at_once(count: int) -> None:
    """All are begun, then all awaited."""

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(count)))

    asyncio.run(all_of_them())


results = {
    "40 steps": measure(steps, 40, 5),
    "1000 steps": measure(steps, 1000, 1),
    "runs in turn": measure(in_turn, RUNS, 1),
    "runs at once": measure(at_once, RUNS, 1),
}
print(json.dumps(results), flush=True)

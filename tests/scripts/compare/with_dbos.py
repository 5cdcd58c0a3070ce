"""The shapes as DBOS workflows; prints their times in ms per step or run as JSON."""

import json
import sys

from dbos import DBOS, DBOSConfig
from timing import measure

config: DBOSConfig = {
    "name": "compare",
    "system_database_url": f"sqlite:///{sys.argv[1]}",
    "log_level": "ERROR",
    "run_admin_server": False,
}
DBOS(config=config)


@DBOS.step()
def keep(n: int) -> int:
    """A trivial step; its answer is recorded."""
    return n


@DBOS.workflow()
def steps(count: int) -> int:
    """One after the other."""
    for n in range(count):
        keep(n)
    return count


def in_turn(count: int) -> None:
    """The next begins when the one before has ended."""
    for _ in range(count):
        steps(1)


def at_once(count: int) -> None:
    """All are begun, then all awaited."""
    for handle in [DBOS.start_workflow(steps, 1) for _ in range(count)]:
        handle.get_result()


DBOS.launch()
results = {
    "40 steps": measure(steps, 40, 9),
    "1000 steps": measure(steps, 1000, 3),
    "runs in turn": measure(in_turn, 1000, 2),
    "runs at once": measure(at_once, 1000, 2),
}
DBOS.destroy()
print(json.dumps(results), flush=True)

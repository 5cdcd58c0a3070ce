"""How the contestants in Python are timed."""

import time
from collections.abc import Callable


def measure(work: Callable[[int], object], count: int, repeats: int) -> list[float]:
    """Milliseconds for each of `count`; once unmeasured, then so often."""
    times = []
    for _ in range(repeats + 1):
        began = time.monotonic()
        work(count)
        times.append((time.monotonic() - began) * 1000 / count)
    return times[1:]

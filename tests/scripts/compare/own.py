"""Runbook itself: whole processes for the shapes of one run, one client on the engine's socket for those of many."""

import http.client
import json
import os
import pathlib
import socket
import statistics
import subprocess
import threading
import time

# A step with a write outside of the run: announced durably before, its answer durable.
WRITES = "runbook, `state.set`"
# A step that only computes: entered in order, durable with the next that must be and at the latest at the run's end.
COMPUTES = "runbook, `core.log`"

CONNECTIONS = 16
RUNS = 1000
# The format takes at most 200 steps; more are the items of a step, one after the other.
STEPS = 200


def runbook(count: int, writes: bool) -> str:
    """The text of a runbook of so many steps."""
    lines = ["format: 1", "runbook: compare", "summary: Many small steps.", "risk: low"]
    if writes:
        lines += ["grants:", "  state: [{ bucket: compare, actions: [write] }]"]
    uses = (
        'state.set, with: { bucket: compare, key: "k%s", value: { n: 1 } }'
        if writes
        else "core.log, with: { message: done %s }"
    )
    lines.append("steps:")
    if count <= STEPS:
        for n in range(count):
            lines.append(f"  - {{ id: s{n}, summary: Keep., uses: {uses % n} }}")
    else:
        items = ", ".join(str(n) for n in range(count))
        lines += ["  - id: many", "    summary: Keep all.", f"    for_each: [{items}]", "    max_parallel: 1"]
        name, _, rest = (uses % "${{ item }}").partition(", with: ")
        rest = rest.replace("done ${{ item }}", '"done ${{ item }}"')
        lines += [f"    uses: {name}", f"    with: {rest}"]
    return "\n".join(lines) + "\n"


# An engine that nobody needs goes away, even between two runs; a run that waits for a person keeps it.
WAITS = """format: 1
runbook: stay
summary: Keep the engine here.
risk: low
steps:
  - id: ask
    summary: Wait for a person.
    uses: ask.person
    with: { question: "May it end?", timeout: 2h }
"""


class Engine:
    """An engine in the background and one client."""

    def __init__(self, binary: str, data: pathlib.Path):
        self.socket = str(data / "engine.sock")
        # As `runbook run --detach` begins it.
        environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1048576"}
        self.process = subprocess.Popen([binary, "engine", "--data-dir", str(data)], env=environment)
        deadline = time.monotonic() + 10
        while not os.path.exists(self.socket):
            if time.monotonic() > deadline:
                raise TimeoutError("the engine does not open its socket")
            time.sleep(0.005)
        self.first = self.connect()
        self.submit(WAITS, self.first)

    def connect(self) -> http.client.HTTPConnection:
        """A connection that stays open."""
        connection = http.client.HTTPConnection("engine")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.socket)
        return connection

    def ask(self, method: str, path: str, body: bytes | None, connection: http.client.HTTPConnection) -> dict:
        """One request and its answer."""
        connection.request(method, path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise ValueError(f"{path}: {text!r}")
        return json.loads(text)

    def submit(self, text: str, connection: http.client.HTTPConnection) -> None:
        """Has a run accepted."""
        request = {
            "runbook": {"file": "compare.yaml", "text": text, "others": []},
            "parameters": {}, "actor": "compare", "trigger": "api", "reason": None, "target": None,
            "dedupe": None, "plan": None, "step_by_step": False, "lock": "wait",
        }  # fmt: skip
        self.ask("POST", "/v1/runs", json.dumps(request).encode(), connection)

    def rest(self, pause_s: float) -> None:
        """Waits until every run has ended but the one that waits."""
        while self.ask("GET", "/v1/health", None, self.first)["busy"] > 1:
            time.sleep(pause_s)

    def reconnect(self) -> None:
        """The engine closes what says nothing for some seconds."""
        self.first.close()
        self.first = self.connect()

    def in_turn(self, text: str, count: int) -> float:
        """The next is begun when the one before has ended."""
        began = time.monotonic()
        for _ in range(count):
            self.submit(text, self.first)
            self.rest(0)
        return time.monotonic() - began

    def at_once(self, text: str, count: int) -> float:
        """All are asked for as fast as they are accepted."""

        def part(which: int) -> None:
            connection = self.connect()
            for _ in range(which, count, CONNECTIONS):
                self.submit(text, connection)
            connection.close()

        self.reconnect()
        began = time.monotonic()
        threads = [threading.Thread(target=part, args=(n,)) for n in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.rest(0.002)
        return time.monotonic() - began

    def close(self) -> None:
        """Ends it; the one run stays unfinished."""
        self.first.close()
        self.process.terminate()
        self.process.wait(20)


def timed(binary: str, data: pathlib.Path, arguments: list[str]) -> float:
    """A whole process."""
    began = time.monotonic()
    subprocess.run(
        [binary, *arguments, "--data-dir", str(data)],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    return time.monotonic() - began


def measure(binary: str, work: pathlib.Path) -> dict[str, dict[str, list[float]]]:
    """All shapes, in ms per step or run."""
    work.mkdir()
    results = {}
    for name, writes in ((WRITES, True), (COMPUTES, False)):
        data = work / ("writes" if writes else "computes")
        data.mkdir()
        shapes: dict[str, list[float]] = {}
        for shape, count, repeats in (("40 steps", 40, 9), ("1000 steps", 1000, 3)):
            file = work / f"{data.name}-{count}.yaml"
            file.write_text(runbook(count, writes))
            run = ["run", str(file), "--yes"]
            timed(binary, data, run)
            shapes[shape] = [timed(binary, data, run) * 1000 / count for _ in range(repeats)]
        engine = Engine(binary, data)
        text = runbook(1, writes)
        engine.at_once(text, 100)
        shapes["runs in turn"] = [engine.in_turn(text, RUNS) * 1000 / RUNS for _ in range(2)]
        shapes["runs at once"] = [engine.at_once(text, RUNS) * 1000 / RUNS for _ in range(2)]
        engine.close()
        results[name] = shapes
    return results


def processes(binary: str, work: pathlib.Path) -> dict[str, float]:
    """A process for each run, as a script of a user's would: in ms each."""
    work.mkdir()
    file = work / "one.yaml"
    file.write_text(runbook(1, True))
    data = work / "data"
    data.mkdir()
    run = ["run", str(file), "--yes"]
    timed(binary, data, run)
    each = {"a process each, which is its own engine": statistics.mean(timed(binary, data, run) for _ in range(RUNS))}
    engine = Engine(binary, data)
    began = time.monotonic()
    for _ in range(RUNS):
        timed(binary, data, [*run, "--detach"])
    engine.reconnect()
    engine.rest(0.002)
    each["a process each, `--detach`, one engine in the background"] = (time.monotonic() - began) / RUNS
    engine.close()
    return {words: s * 1000 for words, s in each.items()}

"""Runbook itself: one client on the socket of an engine that is there already, as the others are; and whole processes."""

import json
import os
import pathlib
import re
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
# How long an engine may take to begin, seconds; a busy machine takes some.
PATIENCE_S = 60
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


class Client:
    """A connection that stays open. Written by hand: `http.client` takes longer for a request than the engine does."""

    def __init__(self, path: str):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)

    def ask(self, request: bytes) -> dict:
        """One request and its answer."""
        self.socket.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self.more()
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: *(\d+)", head).group(1))
        while len(body) < length:
            body += self.more()
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ValueError(body)
        return json.loads(body)

    def more(self) -> bytes:
        """What has come."""
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError("the engine has hung up")
        return part

    def close(self) -> None:
        """Hangs up."""
        self.socket.close()


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """As it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nhost: engine\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


HEALTH = request("GET", "/v1/health")


def submission(text: str) -> bytes:
    """The wish for a run."""
    wish = {
        "runbook": {"file": "compare.yaml", "text": text, "others": []},
        "parameters": {}, "actor": "compare", "trigger": "api", "reason": None, "target": None,
        "dedupe": None, "plan": None, "step_by_step": False, "lock": "wait",
    }  # fmt: skip
    return request("POST", "/v1/runs", json.dumps(wish).encode())


class Engine:
    """An engine in the background and one client."""

    def __init__(self, binary: str, data: pathlib.Path):
        self.socket = str(data / "engine.sock")
        # As `runbook run --detach` begins it.
        environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1048576"}
        self.process = subprocess.Popen([binary, "engine", "--data-dir", str(data)], env=environment)
        self.client = self.answering()
        self.client.ask(submission(WAITS))

    def answering(self) -> Client:
        """A connection, once the engine answers: its socket is there before it listens."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                client = Client(self.socket)
                client.ask(HEALTH)
                return client
            except (FileNotFoundError, ConnectionError):
                time.sleep(0.005)
        raise TimeoutError(f"the engine does not answer at {self.socket} (exit code {self.process.poll()})")

    def rest(self, pause_s: float) -> None:
        """Waits until every run has ended but the one that waits."""
        while self.client.ask(HEALTH)["busy"] > 1:
            time.sleep(pause_s)

    def reconnect(self) -> None:
        """The engine closes what says nothing for some seconds."""
        self.client.close()
        self.client = Client(self.socket)

    def in_turn(self, text: str, count: int, pause_s: float) -> float:
        """The next is begun when the one before has ended."""
        wish = submission(text)
        self.reconnect()
        began = time.monotonic()
        for _ in range(count):
            self.client.ask(wish)
            self.rest(pause_s)
        return time.monotonic() - began

    def at_once(self, text: str, count: int) -> float:
        """All are asked for as fast as they are accepted."""
        wish = submission(text)

        def part(which: int) -> None:
            client = Client(self.socket)
            for _ in range(which, count, CONNECTIONS):
                client.ask(wish)
            client.close()

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
        self.client.close()
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
        engine = Engine(binary, data)
        shapes: dict[str, list[float]] = {}
        for shape, count, repeats in (("40 steps", 40, 9), ("1000 steps", 1000, 3)):
            text = runbook(count, writes)
            engine.in_turn(text, 1, 0.001)
            shapes[shape] = [engine.in_turn(text, 1, 0.001) * 1000 / count for _ in range(repeats)]
        text = runbook(1, writes)
        engine.at_once(text, 100)
        shapes["runs in turn"] = [engine.in_turn(text, RUNS, 0) * 1000 / RUNS for _ in range(2)]
        shapes["runs at once"] = [engine.at_once(text, RUNS) * 1000 / RUNS for _ in range(2)]
        engine.close()
        results[name] = shapes
    return results


def processes(binary: str, work: pathlib.Path) -> dict[str, float]:
    """A process for each run, as a person or a script would: in ms each."""
    work.mkdir()
    data = work / "data"
    data.mkdir()
    each = {}
    for count, repeats in ((1000, 3), (40, 9), (1, RUNS)):
        file = work / f"{count}.yaml"
        file.write_text(runbook(count, True))
        run = ["run", str(file), "--yes"]
        timed(binary, data, run)
        times = [timed(binary, data, run) for _ in range(repeats)]
        each[f"a run of {count:,} steps, a process which is its own engine"] = statistics.mean(times)
    engine = Engine(binary, data)
    began = time.monotonic()
    for _ in range(RUNS):
        timed(binary, data, [*run, "--detach"])
    engine.reconnect()
    engine.rest(0.002)
    each["a run of 1 step, a process with `--detach`, one engine in the background"] = (time.monotonic() - began) / RUNS
    engine.close()
    return {words: s * 1000 for words, s in each.items()}

"""Services of the test image, and the binary that is recorded."""

import json
import os
import pathlib
import signal
import subprocess
import time

IMAGE = "runbook-test:1"
COMPOSE = "com.docker.compose."
PATIENCE_S = 300


def docker(*words, check=True):
    done = subprocess.run(["docker", *words], capture_output=True, text=True)
    if check and done.returncode:
        raise SystemExit(f"docker {words}: {done.stderr}")
    return done.stdout.strip()


def until(what, look):
    end = time.monotonic() + PATIENCE_S
    while not (found := look()):
        if time.monotonic() > end:
            raise SystemExit(f"waited too long for {what}")
        time.sleep(0.1)
    return found


def healthy(name):
    return docker("inspect", "--format", "{{.State.Health.Status}}", name) == "healthy"


class Services:
    """All belong to one project, or to one whose name begins with it."""

    def __init__(self, project):
        self.project = project

    def start(self, service, replicas=1, project=None, env=(), labels=()):
        """Starts a service without waiting for its health; gives its name."""
        project = project or self.project
        for number in range(1, replicas + 1):
            own = [f"{COMPOSE}project={project}", f"{COMPOSE}service={service}", f"{COMPOSE}container-number={number}"]
            words = [word for label in [*own, *labels] for word in ("--label", label)]
            words += [word for pair in env for word in ("--env", pair)]
            docker("run", "--detach", "--name", f"{project}-{service}-{number}", *words, IMAGE)
        return f"{project}/{service}"

    def all(self):
        listed = docker("ps", "--all", "--no-trunc", "--format", '{{.ID}} {{.Label "com.docker.compose.project"}}')
        lines = [line.split(" ") for line in listed.splitlines()]
        return [line[0] for line in lines if line[-1].startswith(self.project)]

    def documents(self):
        return json.loads(docker("inspect", *self.all())) if self.all() else []

    def remove(self):
        if found := self.all():
            docker("rm", "--force", "--volumes", *found)


class Engine:
    """The binary with a home of its own."""

    def __init__(self, binary, home):
        self.binary, self.home = binary, pathlib.Path(home)
        self.books = self.home / "work"
        self.begun = []
        self.data = self.home / "data"
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.books),
            "RUNBOOK_DATA_DIR": str(self.data),
        }

    def begin(self, *words, daemon=None):
        env = dict(self.env, **({"DOCKER_HOST": f"unix://{daemon}"} if daemon else {}))
        out = open(self.home / f"{len(self.begun)}.out", "w+")
        process = subprocess.Popen([self.binary, *words], cwd=self.books, env=env, stdout=out, stderr=out)
        self.begun.append(process)
        return process, out

    def must(self, code, *words, daemon=None):
        process, out = self.begin(*words, daemon=daemon)
        ended = process.wait(600)
        out.seek(0)
        text = out.read()
        if ended != code:
            raise SystemExit(f"{words} ended with {ended}, not {code}:\n{text}")
        return text

    def json(self, *words, code=0):
        env = dict(self.env)
        done = subprocess.run([self.binary, *words, "--output", "json"], cwd=self.books, env=env, capture_output=True, text=True)
        if done.returncode != code:
            raise SystemExit(f"{words} ended with {done.returncode}, not {code}:\n{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout)

    def newest(self, runbook):
        rows = self.json("runs", "list", "--limit", "500")
        return next((row for row in rows if row["runbook"] == runbook), None)

    def status(self, run):
        return next(row["status"] for row in self.json("runs", "list", "--limit", "500") if row["run"] == run)

    def until_status(self, run, wanted):
        until(f"`{run}` to be {wanted}", lambda: self.status(run) == wanted)

    def until_idle(self):
        """Until no engine of this home works in the background."""
        def idle():
            for process in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    words = (process / "cmdline").read_bytes().decode().split("\0")
                    env = (process / "environ").read_bytes().decode()
                except OSError:
                    continue
                if "engine" in words[1:2] and str(self.data) in env:
                    return False
            return True
        until("the engine in the background to end", idle)


def kill(process, engine):
    """The command, and the engine if that is a process of its own."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    lock = engine.data / "engine.lock"
    for number in lock.read_text().split() if lock.exists() else []:
        try:
            os.kill(int(number), signal.SIGKILL)
        except ProcessLookupError:
            pass

"""The others. Each function starts what it needs in a folder of its own, has the work done, and returns the times of each
shape in ms per step or run. What is too slow for a shape does less of it (`count`), never nothing measured."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
Results = dict[str, dict[str, list[float]]]


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def server(command: list[str], environment: dict[str, str], log: pathlib.Path):
    """A process that is ended with the block."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=os.environ | environment, stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(url: str, seconds: float = 60) -> None:
    """Until it answers well."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url} does not answer") from error
            time.sleep(0.1)


def driver(command: list[str], environment: dict[str, str], log: pathlib.Path) -> dict[str, list[float]]:
    """Has a program of this folder do the work; its last line holds the times."""
    with log.open("wb") as talk:
        done = subprocess.run(
            command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=talk, timeout=900, check=True
        )
    return json.loads(done.stdout.splitlines()[-1])


def ansible(cache: pathlib.Path, work: pathlib.Path) -> Results:
    """A play of 40 tasks on localhost: a whole process, as it is used. It keeps no record of a task."""
    home = work / "ansible"
    home.mkdir()
    tasks = "".join("    - ansible.builtin.command: 'true'\n" for _ in range(40))
    play = home / "play.yaml"
    play.write_text(f"- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n{tasks}")
    bin_dir = cache / "venv-ansible/bin"
    # Named, since the interpreter that it would find for itself may be a mere wrapper.
    interpreter = f"ansible_python_interpreter={bin_dir / 'python'}"
    command = [str(bin_dir / "ansible-playbook"), "-i", "localhost,", "-e", interpreter, str(play)]
    environment = os.environ | {"ANSIBLE_HOME": str(home), "ANSIBLE_LOCALHOST_WARNING": "false"}
    times = []
    for _ in range(4):
        began = time.monotonic()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append((time.monotonic() - began) * 1000 / 40)
    return {"Ansible": {"40 steps": times[1:]}}


def dbos(cache: pathlib.Path, work: pathlib.Path) -> Results:
    """A library in one process, on SQLite."""
    home = work / "dbos"
    home.mkdir()
    command = [str(cache / "venv-dbos/bin/python"), str(HERE / "with_dbos.py"), str(home / "dbos.sqlite")]
    return {"DBOS on SQLite": driver(command, {}, home / "log")}


def prefect(cache: pathlib.Path, work: pathlib.Path) -> Results:
    """A client and its server, on SQLite."""
    home, port = work / "prefect", free_port()
    home.mkdir()
    bin_dir = cache / "venv-prefect/bin"
    environment = {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    start = [str(bin_dir / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with server(start, environment, home / "server.log"):
        wait_for(f"http://127.0.0.1:{port}/api/health")
        times = driver([str(bin_dir / "python"), str(HERE / "with_prefect.py")], environment, home / "log")
    return {"Prefect": times}


def restate(cache: pathlib.Path, work: pathlib.Path) -> Results:
    """A server, a service in Node that it calls, and a client."""
    home = work / "restate"
    home.mkdir()
    modules = cache / "restate/node_modules"
    admin, ingress, fabric, service = (free_port() for _ in range(4))
    environment = {
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{fabric}",
        "RESTATE_ADVERTISED_ADDRESS": f"http://127.0.0.1:{fabric}",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }
    # A module finds its packages beside itself only.
    for program in ("restate-service.mjs", "restate-client.mjs"):
        (modules.parent / program).write_text((HERE / program).read_text())
    start = [str(modules / ".bin/restate-server"), "--base-dir", str(home / "data"), "--node-name", "compare"]
    serve = ["node", str(modules.parent / "restate-service.mjs"), str(service)]
    with server(start, environment, home / "server.log"), server(serve, {}, home / "service.log"):
        wait_for(f"http://127.0.0.1:{admin}/health")
        body = json.dumps({"uri": f"http://127.0.0.1:{service}"}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{admin}/deployments", body, {"content-type": "application/json"}
        )
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(request, timeout=30).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        client = ["node", str(modules.parent / "restate-client.mjs"), str(ingress)]
        times = driver(client, {}, home / "log")
    return {"Restate": times}

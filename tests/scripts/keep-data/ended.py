"""Runs that ended, in every way there is, and what else an audit log holds."""

import hashlib
import http.server
import signal
import threading

from proxy import Proxy, Trap
from world import docker, kill, until

SECRET = "kept for the next versions"


class Server(http.server.BaseHTTPRequestHandler):
    """Answers; but what is posted to `/cut` is taken and the connection closed."""

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/cut":
            self.close_connection = True
        elif self.path == "/hold":
            self.server.held.set()
            threading.Event().wait()
        else:
            self.answer()

    def answer(self):
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_):
        pass


def serve():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.held = threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Recorder:
    def __init__(self, engine, services):
        self.engine, self.services = engine, services
        self.names = {}

    def run(self, name, code, *words):
        """Runs to its end and remembers the run by a name."""
        document = self.engine.json("run", *words, "--yes", code=code)
        self.names[name] = document["run"]
        return document["run"]

    def detach(self, name, *words):
        document = self.engine.json("run", *words, "--yes", "--detach")
        self.names[name] = document["run"]
        return document["run"]


def write_books(recorder, folder, url):
    digest = hashlib.sha256(SECRET.encode()).hexdigest()
    for book in folder.glob("*.yaml"):
        text = book.read_text().replace("HASH", digest).replace("URL", url)
        (recorder.engine.books / book.name).write_text(text)


def archive(recorder):
    """Some runs, moved out of the log."""
    for _ in range(3):
        recorder.engine.must(0, "run", "hello.yaml")
    recorder.engine.until_idle()
    recorder.engine.must(0, "audit", "archive", "--older-than", "1ms", "--to", str(recorder.engine.home / "archive"))


def library(recorder, calm):
    """Every runbook of the library, to a good end."""
    service = ["-p", f"service={calm}"]
    run = recorder.run
    run("status", 0, "service-status", *service)
    run("logs", 0, "service-logs", *service)
    run("diagnose", 0, "diagnose-service", *service)
    run("health-check", 0, "service-health-check", *service, "-p", "port=8080")
    run("restart", 0, "service-restart", *service, "-p", "grace=5s")
    run("force-restart", 0, "service-force-restart", *service)
    run("recreate", 0, "service-recreate", *service, "-p", 'env={"ROUND":"1"}', "-p", "grace=5s")
    run("resize", 0, "service-resize", *service, "-p", "memory=64MiB")
    run("scale-out", 0, "service-scale", *service, "-p", "replicas=3")
    run("scale-in", 0, "service-scale", *service, "-p", "replicas=2")
    run("stop", 0, "service-stop", *service)
    run("start", 0, "service-start", *service)
    run("script", 0, "container-script", *service, "-p", "body=echo $WHAT", "-p", 'env={"WHAT":"done"}')
    run("one-shot", 0, "container-script", *service, "-p", "body=true", "-p", "one_shot=true")


def own(recorder, calm, sick, stack):
    """Runbooks of one's own, and the other ends."""
    service = ["-p", f"service={calm}"]
    run, engine = recorder.run, recorder.engine
    run("stack-restart", 0, "stack-restart", "-p", f"project={stack}")
    replicas = ",".join(f"{calm.replace('/', '-')}-{number}" for number in (1, 2))
    run("items", 0, "items.yaml", *service, "-p", f"names={replicas}")
    run("children", 0, "children.yaml", *service)
    run("secrets", 0, "secrets.yaml", *service)
    run("http", 0, "http.yaml", "-p", "way=answer")
    run("state", 0, "state.yaml", "-p", "key=ended", "-p", "pause=1s")
    run("rolled-back", 11, "undo.yaml", "-p", f"service={sick}")
    run("stuck", 12, "stuck.yaml", *service)
    run("skipped", 15, "skip.yaml")
    run("denied", 13, "denied.yaml", *service, "-p", f"other={sick}")
    docker("exec", f"{sick.replace('/', '-')}-1", "rm", "/tmp/heal")
    run("failed", 10, "service-restart", "-p", f"service={sick}", "-p", "wait=3s", "-p", "grace=1s")
    docker("exec", f"{sick.replace('/', '-')}-1", "touch", "/tmp/heal")
    run("dedupe", 0, "hello.yaml", "--dedupe", "nightly-1")
    run("dedupe-again", 0, "hello.yaml", "--dedupe", "nightly-1")
    assert recorder.names["dedupe"] == recorder.names["dedupe-again"]

    waits = recorder.detach("cancelled", "ask.yaml", *service)
    engine.until_status(waits, "waiting")
    engine.must(0, "runs", "cancel", waits, "--reason", "wrong service")
    engine.until_status(waits, "cancelled")
    waits = recorder.detach("approved", "ask.yaml", *service)
    engine.until_status(waits, "waiting")
    engine.must(0, "runs", "approve", waits, "--text", "agreed")
    engine.until_status(waits, "succeeded")
    waits = recorder.detach("lock-taken", "ask.yaml", *service)
    engine.until_status(waits, "waiting")
    run("took-the-lock", 0, "service-restart", *service, "--take-lock", "--reason", "it is urgent")
    engine.until_idle()


def interrupted(recorder, calm):
    """Killed, carried on, and ended well; and one that a person decided about."""
    engine, service = recorder.engine, ["-p", f"service={calm}"]
    killed(recorder, "resumed", Trap(calm, "stop", 2, "hold"), "children.yaml", *service)
    engine.must(0, "runs", "resume", "--yes")
    killed(recorder, "settled", Trap(calm, "stop"), "service-restart", *service, "-p", "grace=5s")
    docker("restart", "--time", "1", f"{calm.replace('/', '-')}-1")
    engine.must(12, "runs", "resume", "--yes")
    engine.must(0, "runs", "settle", recorder.names["settled"], "--done")
    engine.must(0, "runs", "watch", recorder.names["settled"])
    engine.until_idle()


def killed(recorder, name, trap, *words):
    """Runs until the trap springs, and kills the engine."""
    engine = recorder.engine
    path = str(engine.home / f"{name}.sock")
    proxy = Proxy(path, [trap])
    process, _ = engine.begin("run", *words, "--yes", daemon=path)
    proxy.wait()
    kill(process, engine)
    book = words[0].removesuffix(".yaml")
    recorder.names[name] = engine.newest(book)["run"]


def halted(recorder, calm):
    """The switch, and a run that was left because of it; it is cancelled."""
    engine = recorder.engine
    waits = recorder.detach("left-and-cancelled", "ask.yaml", "-p", f"service={calm}")
    engine.until_status(waits, "waiting")
    engine.must(0, "halt", "on", "--reason", "storage is failing over")
    engine.must(0, "runs", "approve", waits)
    engine.until_status(waits, "left")
    engine.must(14, "run", "service-restart", "-p", f"service={calm}", "--yes")
    engine.must(0, "halt", "off", "--reason", "over")
    engine.must(0, "runs", "cancel", waits)
    engine.until_status(waits, "cancelled")
    engine.until_idle()


def emergency(recorder):
    """An emergency run, whose segment is joined."""
    recorder.engine.must(0, "run", "hello.yaml", "--emergency", "--reason", "nothing else works")
    recorder.engine.must(0, "audit", "join")

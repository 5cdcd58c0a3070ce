"""Runs that have not ended: one engine has all of them in hand when it is killed."""

import time

from ended import killed
from proxy import Proxy, Trap
from world import docker, healthy, kill, until

#: name, runbook, more parameters, replicas, traps as (kind, nth, trick)
HALF_DONE = [
    ("restart-between", "service-restart", ["grace=5s"], 2, ("start", 1, "lose")),
    ("restart-unheard", "service-restart", ["grace=5s"], 2, ("stop", 2, "hold")),
    ("force-restart", "service-force-restart", [], 1, ("start", 1, "lose")),
    ("recreate-made", "service-recreate", ["grace=5s", 'env={"ROUND":"2"}'], 1, ("create", 1, "hold")),
    ("recreate-between", "service-recreate", ["grace=5s", 'env={"ROUND":"2"}'], 1, ("start", 1, "lose")),
    ("scale-out", "service-scale", ["replicas=2"], 1, ("start", 1, "lose")),
    ("scale-in", "service-scale", ["replicas=1", "grace=5s"], 2, ("remove", 1, "lose")),
    ("resize", "service-resize", ["memory=64MiB"], 2, ("update", 1, "hold")),
    ("start", "service-start", [], 2, ("start", 2, "lose")),
    ("stop", "service-stop", ["grace=5s"], 2, ("stop", 2, "lose")),
    ("script", "container-script", ["body=echo ran >>/tmp/ran"], 1, ("exec-start", 1, "lose")),
    ("one-shot", "container-script", ["body=true", "one_shot=true"], 1, ("start", 1, "lose")),
    ("diagnose", "diagnose-service", [], 1, ("logs", 1, "lose")),
    ("logs", "service-logs", [], 1, ("logs", 1, "lose")),
    ("status", "service-status", [], 1, ("json", 2, "lose")),
    ("undo", "undo.yaml", [], 1, ("start", 1, "lose")),
    ("children", "children.yaml", [], 2, ("start", 1, "lose")),
    ("secrets", "secrets.yaml", [], 1, ("create", 1, "hold")),
    ("items", "items.yaml", [], 2, ("exec-start", 2, "lose")),
]


def record(recorder, server):
    engine, services = recorder.engine, recorder.services
    names = {}
    for name, _, _, replicas, _ in HALF_DONE:
        # In the name of a container to be, the service is what stands between dashes.
        names[name] = services.start(name.replace("-", ""), replicas)
    for name in ("asks", "doubt", "left", "held"):
        names[name] = services.start(name)
    services.start("health", env=["HEAL_MARK=/tmp/heal"])
    names["health-check"] = f"{services.project}/health"
    stack = f"{services.project}t"
    services.start("web", project=stack, labels=["com.docker.compose.depends_on=db:service_healthy:false"])
    services.start("db", project=stack)
    until("every service to be healthy", lambda: all(
        healthy(document["Id"]) for document in services.documents() if "health" not in document["Name"]))
    docker("stop", "-t", "1", *(f"{services.project}-start-{number}" for number in (1, 2)))

    killed(recorder, "in-doubt", Trap(names["doubt"], "stop"), "service-restart", "-p", f"service={names['doubt']}")
    docker("restart", "--time", "1", f"{services.project}-doubt-1")
    engine.must(12, "runs", "resume", "--yes")

    traps = [Trap(names[name], *trap) for name, _, _, _, trap in HALF_DONE]
    traps += [Trap(f"{stack}/web", "start"), Trap(names["health-check"], "json", 4, "lose")]
    path = str(engine.home / "many.sock")
    proxy = Proxy(path, traps)
    owner, _ = engine.begin("run", "ask.yaml", "-p", f"service={names['asks']}", "--yes", daemon=path)
    until("the engine to wait", lambda: (row := engine.newest("ask")) and row["status"] == "waiting")
    recorder.names["waiting-for-person"] = engine.newest("ask")["run"]
    recorder.detach("queued", "service-restart", "-p", f"service={names['asks']}", "-p", "grace=5s")
    many(recorder, names, stack)
    left_by_halt(recorder, names["left"])
    proxy.wait()
    until("the request to the server", lambda: server.held.is_set())
    # What a lost request was about may still be on its way to the log.
    time.sleep(1)
    kill(owner, engine)


def many(recorder, names, stack):
    for name, book, more, _, _ in HALF_DONE:
        words = [word for parameter in more for word in ("-p", parameter)]
        if name == "items":
            words += ["-p", "names=" + ",".join(f"{recorder.services.project}-items-{number}" for number in (1, 2))]
        recorder.detach(f"half-{name}", book, "-p", f"service={names[name]}", *words)
    recorder.detach("half-stack-restart", "stack-restart", "-p", f"project={stack}")
    recorder.detach("half-health-check", "service-health-check", "-p", f"service={names['health-check']}")
    recorder.detach("half-http", "http.yaml", "-p", "way=hold")
    in_doubt = recorder.detach("in-doubt-http", "http.yaml", "-p", "way=cut")
    recorder.detach("waiting-for-time", "state.yaml", "-p", "key=unfinished", "-p", "pause=3m")
    recorder.detach("waiting-for-work", "manual.yaml")
    recorder.detach("waiting-too-long", "ask.yaml", "-p", f"service={names['held']}", "-p", "patience=4m")
    recorder.engine.until_status(in_doubt, "in-doubt")


def left_by_halt(recorder, service):
    """Only reads are under way elsewhere, or requests that were announced: nothing else is left."""
    engine = recorder.engine
    waits = recorder.detach("left", "ask.yaml", "-p", f"service={service}")
    engine.until_status(waits, "waiting")
    engine.must(0, "halt", "on", "--reason", "storage is failing over")
    engine.must(0, "runs", "approve", waits)
    engine.until_status(waits, "left")
    engine.must(0, "halt", "off")

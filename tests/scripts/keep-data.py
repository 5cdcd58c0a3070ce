#!/usr/bin/env python3
"""Records a data directory as a version of the program leaves it, for the test that later versions read it, carry it on,
replay and verify it: `keep-data.py BINARY FOLDER`. FOLDER is what a test of that version unpacks:

  data.tar.xz       `data`, the data directory after a `kill -9` and an emergency; `archive`, its oldest entries; the key of its
                    secrets; `kept.json`, what this version said of each run, and the containers when the engine was killed
  checkpoint.note   a checkpoint that was carried elsewhere, and `audit.pub`, the key that proves it

Needs root, Docker and the images of `tests/scripts/image.sh`. It takes some minutes; run it on a machine that is not busy, since
it must be over before a run is too old to be carried on. The containers it makes are called `kept0000…`, and are removed.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "keep-data"))

import ended  # noqa: E402
import unfinished  # noqa: E402
from proxy import ask  # noqa: E402
from world import Engine, Services, healthy, until  # noqa: E402

PROJECT = "kept0000"


def main(binary, folder):
    services = Services(PROJECT)
    services.remove()
    with tempfile.TemporaryDirectory() as home:
        engine = Engine(binary, home)
        engine.books.mkdir()
        try:
            kept = record(ended.Recorder(engine, services))
            keep(engine, kept, pathlib.Path(folder))
        finally:
            for process in engine.begun:
                process.kill()
            services.remove()


def record(recorder):
    engine, services = recorder.engine, recorder.services
    server = ended.serve()
    ended.write_books(recorder, HERE / "keep-data/books", f"http://127.0.0.1:{server.server_port}")
    (engine.home / "secret").write_text(ended.SECRET)
    engine.must(0, "secret", "set", "kept/token", "--file", str(engine.home / "secret"))
    calm, stack = services.start("calm", 2), f"{PROJECT}s"
    sick = services.start("sick", env=["HEAL_MARK=/tmp/heal"])
    services.start("web", project=stack)
    subprocess.run(["docker", "exec", f"{PROJECT}-sick-1", "touch", "/tmp/heal"], check=True)
    until("the services to be healthy", lambda: all(healthy(one) for one in services.all()))
    ended.archive(recorder)
    ended.library(recorder, calm)
    ended.own(recorder, calm, sick, stack)
    ended.interrupted(recorder, calm)
    ended.halted(recorder, calm)
    ended.emergency(recorder)
    services.remove()
    unfinished.record(recorder, server)
    engine.must(0, "run", "hello.yaml", "--emergency", "--reason", "the engine is dead")
    return {
        "project": PROJECT,
        "names": recorder.names,
        "runs": [engine.json("runs", "show", row["run"]) for row in engine.json("runs", "list", "--limit", "500")],
        "containers": [narrow(document) for document in services.documents()],
        "execs": execs(services.documents()),
        "secret": ended.SECRET,
    }


def narrow(document):
    """What it takes to make the container again, and to tell its life from another's."""
    config = {key: value for key, value in document["Config"].items() if value and key != "Hostname"}
    host = {key: document["HostConfig"][key] for key in ("Memory", "MemorySwap", "NanoCpus")}
    state = {key: document["State"][key] for key in ("Status", "StartedAt", "FinishedAt")}
    health = document["State"].get("Health", {}).get("Status")
    return {
        "Id": document["Id"], "Name": document["Name"], "Created": document["Created"],
        "Config": config, "HostConfig": host, "State": state, "Health": health,
    }  # fmt: skip


def execs(documents):
    """Commands that were made in containers and never started."""
    found = [ask(f"/exec/{one}/json") for document in documents for one in document["ExecIDs"] or []]
    inert = [one for one in found if "ID" in one and not one["Running"] and one["ExitCode"] is None]
    return [
        {"Id": one["ID"], "Container": one["ContainerID"], "Stdin": one["OpenStdin"],
         "Cmd": [one["ProcessConfig"]["entrypoint"], *one["ProcessConfig"]["arguments"]]}
        for one in inert
    ]  # fmt: skip


def keep(engine, kept, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (engine.home / "kept.json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    shutil.copy(engine.data / "audit.pub", folder)
    shutil.copy(max((engine.data / "checkpoints").glob("*.note")), folder / "checkpoint.note")
    shutil.copy(engine.home / ".config/runbook/secrets-identity", engine.home)
    for cache in list(engine.data.rglob("cache")):
        shutil.rmtree(cache)
    (engine.data / "engine.sock").unlink(missing_ok=True)
    packed = folder / "data.tar.xz"
    files = ["data", "archive", "secrets-identity", "kept.json"]
    tar = ["tar", "--create", "--owner=0", "--group=0", "--numeric-owner", "--directory", str(engine.home), *files]
    with open(packed, "wb") as out:
        packing = subprocess.Popen(tar, stdout=subprocess.PIPE)
        subprocess.run(["xz", "-9e", "--lzma2=dict=64MiB"], stdin=packing.stdout, stdout=out, check=True)
        if packing.wait():
            raise SystemExit("tar failed")
    print(f"{packed}: {packed.stat().st_size >> 10} KiB, {len(kept['runs'])} runs, {len(kept['containers'])} containers")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2])

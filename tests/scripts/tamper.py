#!/usr/bin/env python3
"""Changes a data directory's audit log and an export of it in every way it can think of, and sees that each is found.

    tamper.py DATA_DIR EXPORT.jsonl [--count N] [--seed S] [--engine BINARY --sample M]

Shares no code with the engine: Python's standard library and `openssl`. Every tampered log must either fail this
verification, or say exactly what it said before. With --engine, `BINARY audit verify` must find what changes something
said, too; M of the tampered databases and exports are shown to it. Prints the counts; ends with 1 if anything was missed."""

import argparse
import base64
import collections
import functools
import hashlib
import importlib.util
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile

spec = importlib.util.spec_from_file_location("verify", os.path.join(os.path.dirname(__file__), "verify-export.py"))
verify = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verify)
# A note and a key always give the same answer: openssl is asked once.
signed_text = functools.lru_cache(maxsize=None)(verify.signed_text)

COLUMNS = {
    "entry": ["seq", "time_ms", "actor", "run", "version", "kind", "body", "hash"],
    "blob": ["digest", "bytes"],
    "run": ["run", "runbook", "status", "actor", "trigger", "target", "started_ms", "finished_ms", "parent", "reason",
            "subject", "message"],
    "state": ["bucket", "key", "value"],
}


class Found(Exception):
    """What was tampered with was found."""


def check(condition, words):
    if not condition:
        raise Found(words)


# --- exports -----------------------------------------------------------------------------------------------------------


def said_by_export(data, key):
    """What an export says, if it verifies: the signed text and the bodies."""
    lines = data.split(b"\n")
    check(lines.pop() == b"", "the last line is cut off")
    header = json.loads(lines.pop(0))
    text = signed_text(header["checkpoint"], key)
    _, size, root = text.split("\n")[:3]
    check(len(lines) == int(size), "the number of entries")
    leaves = [hashlib.sha256(b"\x00" + line).digest() for line in lines]
    check(base64.b64encode(verify.tree_root(leaves)).decode() == root, "the entries")
    for number, line in enumerate(lines, 1):
        check(json.loads(line)["seq"] == number, "a sequence")
    return text, lines


def tamper_export(data, dice):
    """The export with one change, and what was changed."""
    lines = data.split(b"\n")[:-1]
    at = dice.randrange(len(data))
    one, other = dice.randrange(len(lines)), dice.randrange(len(lines))
    kind = dice.choice(["flip", "flip", "flip", "delete", "insert", "line gone", "line twice", "swap", "cut", "tail", "add"])
    if kind == "flip":
        return kind, data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1:]
    if kind == "delete":
        return kind, data[:at] + data[at + dice.randrange(1, 9):]
    if kind == "insert":
        return kind, data[:at] + dice.randbytes(dice.randrange(1, 9)) + data[at:]
    if kind == "cut":
        return kind, data[:at]
    if kind == "line gone":
        lines.pop(one)
    elif kind == "line twice":
        lines.insert(other, lines[one])
    elif kind == "swap":
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == "tail":
        lines = lines[: 1 + dice.randrange(len(lines))]
    else:
        lines.append(lines[-1].replace(b'"seq":', b'"seq":1'))
    return kind, b"".join(line + b"\n" for line in lines)


# --- databases ---------------------------------------------------------------------------------------------------------


# Kind, name, table and SQL of everything in the database as it was made; filled in from the original.
SCHEMA = []


def schema_of(db):
    return db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").fetchall()


def said_by_database(db, key):
    """What a database says, if it verifies: checkpoint, bodies, runs, state, blobs."""
    check(schema_of(db) == SCHEMA, "the schema")
    check(db.execute("PRAGMA integrity_check(1)").fetchall() == [("ok",)], "an index")
    trees = db.execute("SELECT size, checkpoint FROM tree").fetchall()
    check(len(trees) == 1, "the tree")
    text = signed_text(trees[0][1], key)
    _, size, root = text.split("\n")[:3]
    bodies, runs, state, blobs, leaves = [], {}, {}, set(), []
    rows = db.execute("SELECT seq, time_ms, actor, run, version, kind, body, hash FROM entry ORDER BY seq").fetchall()
    check(len(rows) == int(size) == trees[0][0], "the number of entries")
    for number, (seq, time_ms, actor, run, version, kind, body, digest) in enumerate(rows, 1):
        exact = body.encode() if isinstance(body, str) else bytes(body)
        leaf = hashlib.sha256(b"\x00" + exact).digest()
        check(leaf == digest, "a hash")
        told = json.loads(exact)
        columns = [seq, time_ms, actor, run, version, kind]
        check(columns == [told.get(n) for n in ("seq", "time_ms", "actor", "run", "version", "kind")], "a column")
        check(seq == number, "a sequence")
        leaves.append(leaf)
        bodies.append(exact)
        if "row" in told:
            runs[told["row"]["run"]] = told["row"]
        for change in told.get("state", []):
            (word, parts), = change.items()
            if word == "set":
                state[parts["bucket"], parts["key"]] = parts["value"]
            else:
                state.pop((parts["bucket"], parts["key"]), None)
        blobs |= set(told.get("blobs", []))
        blobs -= set(told.get("pruned", []))
    check(base64.b64encode(verify.tree_root(leaves)).decode() == root, "the entries")
    said = {row[0]: dict(zip(COLUMNS["run"], row)) for row in db.execute("SELECT * FROM run")}
    check(said == {run: {name: row.get(name) for name in COLUMNS["run"]} for run, row in runs.items()}, "a run")
    kept = {(bucket, name): json.loads(value) for bucket, name, value in db.execute("SELECT * FROM state")}
    check(kept == state, "state")
    held = {digest: hashlib.sha256(content).hexdigest() for digest, content in db.execute("SELECT digest, bytes FROM blob")}
    check(all(digest == real for digest, real in held.items()) and set(held) == blobs, "a blob")
    return text, bodies, said, kept, held


def another(value, dice):
    """A value that is not this one."""
    if value is None:
        return dice.choice([0, "", "x"])
    if isinstance(value, int):
        return dice.choice([None, value + dice.choice([-1, 1, 1000]), str(value) + "x"])
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    how = dice.randrange(4)
    if how == 0 or not raw:
        raw += b"x"
    elif how == 1:
        del raw[dice.randrange(len(raw))]
    elif how == 2:
        raw[dice.randrange(len(raw))] ^= 1 << dice.randrange(7)
    else:
        at = dice.randrange(len(raw))
        raw[at:at] = b" "
    return raw.decode(errors="replace") if isinstance(value, str) else bytes(raw)


def tamper_database(image, dice):
    """The image with one change, and what was changed."""
    kind = dice.choice(
        ["cell", "cell", "cell", "cell", "row gone", "swap", "tail", "copy", "checkpoint", "byte", "schema", "roots"])
    if kind == "byte":
        at = dice.randrange(len(image))
        return kind, image[:at] + bytes([image[at] ^ (1 << dice.randrange(8))]) + image[at + 1:]
    db = sqlite3.connect(":memory:")
    db.deserialize(image)
    table = dice.choice(["entry", "entry", "entry", "run", "blob", "state"])
    if kind == "cell":
        column = dice.choice(COLUMNS[table])
        first = COLUMNS[table][0]
        rows = db.execute(f"SELECT {first}, {column} FROM {table}").fetchall()
        if rows:
            row, value = dice.choice(rows)
            try:
                db.execute(f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {first} = ?", (another(value, dice), row))
            except sqlite3.IntegrityError:
                # The database itself does not take it: then there is nothing to find.
                pass
    elif kind == "row gone":
        first = COLUMNS[table][0]
        rows = db.execute(f"SELECT {first} FROM {table}").fetchall()
        if rows:
            db.execute(f"DELETE FROM {table} WHERE {first} = ?", dice.choice(rows))
    elif kind == "swap":
        (a, b), = [dice.sample(db.execute("SELECT seq, body, hash FROM entry").fetchall(), 2)]
        db.execute("UPDATE entry SET body = ?, hash = ? WHERE seq = ?", (b[1], b[2], a[0]))
        db.execute("UPDATE entry SET body = ?, hash = ? WHERE seq = ?", (a[1], a[2], b[0]))
    elif kind == "tail":
        last, = db.execute("SELECT max(seq) FROM entry").fetchone()
        db.execute("DELETE FROM entry WHERE seq > ?", (last - dice.randrange(1, min(last, 9)),))
    elif kind == "schema":
        db.execute(dice.choice([
            "CREATE INDEX forged ON run (run, status) WHERE status > ''",
            "CREATE INDEX forged ON entry (run, version, body) WHERE run IS NOT NULL",
            "CREATE VIEW forged AS SELECT * FROM run",
            "CREATE TABLE forged (a)",
            "CREATE TRIGGER forged AFTER INSERT ON entry BEGIN DELETE FROM note; END",
            "DROP INDEX entry_run",
            "DROP INDEX run_unfinished",
            "ALTER TABLE note ADD COLUMN forged",
        ]))
    elif kind == "roots":
        # An index, or two, in the place of another.
        one, other = dice.sample(["entry_run", "note_run", "run_unfinished", "sqlite_autoindex_blob_1"], 2)
        roots = dict(db.execute("SELECT name, rootpage FROM sqlite_schema"))
        db.execute("PRAGMA writable_schema = ON")
        for name, root in ((one, roots[other]), (other, roots[one])):
            db.execute("UPDATE sqlite_schema SET rootpage = ? WHERE name = ?", (root, name))
    elif kind == "copy":
        row = list(dice.choice(db.execute("SELECT * FROM entry").fetchall()))
        row[0], = db.execute("SELECT max(seq) + 1 FROM entry").fetchone()
        db.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    else:
        note, = db.execute("SELECT checkpoint FROM tree").fetchone()
        db.execute("UPDATE tree SET checkpoint = ?", (another(note, dice),))
    db.commit()
    return f"{kind} {table}" if kind in ("cell", "row gone") else kind, db.serialize()


# --- all of it ---------------------------------------------------------------------------------------------------------


def verdict(say, original):
    """`found`, `same` if nothing that was said is different, or `missed`."""
    try:
        said = say()
    except (Found, SystemExit, ValueError, KeyError, TypeError, AttributeError, RecursionError, sqlite3.Error, IndexError):
        return "found"
    return "same" if said == original else "missed"


def open_image(image):
    db = sqlite3.connect(":memory:")
    db.deserialize(image)
    return db


def engine_finds(engine, folder, data_dir, image):
    """Whether the engine refuses a database: exit code 5, damaged."""
    for name in os.listdir(data_dir):
        if name.startswith("audit.") and not name.startswith("audit.db"):
            shutil.copy(os.path.join(data_dir, name), folder)
    for name in os.listdir(folder):
        if name.startswith("audit.db"):
            os.remove(os.path.join(folder, name))
    with open(os.path.join(folder, "audit.db"), "wb") as file:
        file.write(image)
    run = subprocess.run([engine, "audit", "verify", "--data-dir", folder], capture_output=True)
    return run.returncode != 0


def engine_finds_export(engine, folder, export, key):
    path = os.path.join(folder, "export.jsonl")
    with open(path, "wb") as file:
        file.write(export)
    with open(os.path.join(folder, "key"), "w", encoding="utf-8") as file:
        file.write(key)
    command = [engine, "audit", "verify", path, "--public-key", os.path.join(folder, "key")]
    return subprocess.run(command, capture_output=True).returncode != 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data_dir")
    parser.add_argument("export")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine")
    parser.add_argument("--sample", type=int, default=100)
    asked = parser.parse_args()
    with open(os.path.join(asked.data_dir, "audit.pub"), encoding="utf-8") as file:
        key = file.read()
    with open(asked.export, "rb") as file:
        export = file.read()
    with sqlite3.connect(f"file:{asked.data_dir}/audit.db?mode=ro", uri=True) as db:
        copy = sqlite3.connect(":memory:")
        db.backup(copy)
        image = bytearray(copy.serialize())
        # No write-ahead log: a database in memory has none.
        image[18:20] = b"\x01\x01"
        image = bytes(image)
    SCHEMA.extend(schema_of(open_image(image)))
    by_export, by_database = said_by_export(export, key), said_by_database(open_image(image), key)

    dice = random.Random(asked.seed)
    counts, missed, shown = collections.Counter(), [], 0
    every = max(1, asked.count // max(1, asked.sample))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(asked.count):
            if number % 2:
                kind, changed = tamper_export(export, dice)
                came = verdict(lambda: said_by_export(changed, key), by_export)
                finds = functools.partial(engine_finds_export, asked.engine, folder, changed, key)
            else:
                kind, changed = tamper_database(image, dice)
                came = verdict(lambda: said_by_database(open_image(changed), key), by_database)
                finds = functools.partial(engine_finds, asked.engine, folder, asked.data_dir, changed)
            counts[came] += 1
            if came == "missed":
                missed.append(f"{number}: {kind}")
            # The odd and the even numbers are shown alike.
            if asked.engine and number % every < 2 and came == "found":
                shown += 1
                if not finds():
                    missed.append(f"{number}: {kind}: not found by the engine")
    print(f"{asked.count} tampers: {counts['found']} found, {counts['same']} changed nothing said, {counts['missed']} missed; "
          f"{shown} of those found were shown to the engine")
    for line in missed:
        print(f"missed: {line}")
    sys.exit(1 if missed else 0)


main()

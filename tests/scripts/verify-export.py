#!/usr/bin/env python3
"""Verifies an export of the audit log with the public key alone, and without any of the engine's code.

    verify-export.py EXPORT.jsonl "$(cat audit.pub)"
    verify-export.py ARCHIVE/ "$(cat audit.pub)"

Needs Python's standard library and the `openssl` program (3.0 or later)."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile


def check(condition, words):
    if not condition:
        sys.exit(f"not what was signed: {words}")


def signed_text(note, verifier_key):
    """The text of a signed note (c2sp.org/signed-note), once its signature fits."""
    name, key_hash, key = verifier_key.strip().split("+", 2)
    key = base64.b64decode(key)
    check(hashlib.sha256(name.encode() + b"\n" + key).hexdigest()[:8] == key_hash, "the public key")
    text, signatures = note.split("\n\n")
    text += "\n"
    line = next((l for l in signatures.splitlines() if l.split(" ")[1] == name), None)
    check(line is not None, "there is no signature of this key")
    signature = base64.b64decode(line.split(" ")[2])
    check(signature[:4].hex() == key_hash, "the signature is of another key")
    with tempfile.TemporaryDirectory() as folder:
        # An Ed25519 public key as openssl wants it (RFC 8410).
        der = bytes.fromhex("302a300506032b6570032100") + key[1:]
        for file, content in (("key", der), ("text", text.encode()), ("signature", signature[4:])):
            with open(f"{folder}/{file}", "wb") as f:
                f.write(content)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", f"{folder}/key"]
        command += ["-rawin", "-in", f"{folder}/text", "-sigfile", f"{folder}/signature"]
        check(subprocess.run(command, capture_output=True).returncode == 0, "the signature")
    return text


def tree_root(leaves, before=0, peaks=()):
    """RFC 6962. `peaks` are the roots of the whole subtrees over the leaves before these, largest first: one for each bit
    of their number."""
    stack = list(zip([1 << bit for bit in reversed(range(before.bit_length())) if before >> bit & 1], peaks))
    for leaf in leaves:
        size = 1
        while stack and stack[-1][0] == size:
            leaf = hashlib.sha256(b"\x01" + stack.pop()[1] + leaf).digest()
            size *= 2
        stack.append((size, leaf))
    if not stack:
        return hashlib.sha256(b"").digest()
    root = stack.pop()[1]
    while stack:
        root = hashlib.sha256(b"\x01" + stack.pop()[1] + root).digest()
    return root


def read(export):
    """Its header and its lines: of a file, or of a directory with the same in several files."""
    folder = os.path.isdir(export)
    with open(os.path.join(export, "entries.jsonl") if folder else export, "rb") as file:
        lines = file.read().split(b"\n")
    check(lines.pop() == b"", "the last line is cut off")
    if not folder:
        return json.loads(lines.pop(0)), lines
    with open(os.path.join(export, "checkpoint.note")) as file:
        header = {"checkpoint": file.read()}
    after = os.path.join(export, "after.json")
    if os.path.exists(after):
        with open(after) as file:
            header["after"] = json.load(file)
    return header, lines


def check_blobs(export, size, bodies, verifier_key):
    """Every blob of a folder is what its name says, and there are those that belong to it: of an archive those of its signed
    list, else those that the entries name and did not forget."""
    belong = {}
    for body in bodies:
        belong.update(dict.fromkeys(body.get("blobs", [])))
        for digest in body.get("pruned", []):
            belong.pop(digest, None)
    belong = set(belong)
    note = os.path.join(export, "blobs.note")
    if os.path.exists(note):
        with open(note) as file:
            first, entries, *lines = signed_text(file.read(), verifier_key).splitlines()
        check(first == "runbook-audit-blobs/1" and entries == size, "blobs.note is the list of another archive")
        belong = set(lines)
    folder = os.path.join(export, "blobs")
    there = set(os.listdir(folder)) if os.path.isdir(folder) else set()
    for name in sorted(there):
        path = os.path.join(folder, name)
        check(os.path.isfile(path) and not os.path.islink(path), f"blobs/{name} is not a file")
        with open(path, "rb") as file:
            check(hashlib.sha256(file.read()).hexdigest() == name, f"the content of blobs/{name}")
    for name in sorted(belong ^ there):
        sys.exit(f"not what was signed: blobs/{name} {'is missing' if name in belong else 'does not belong to this export'}")
    return len(there)


def main(export, verifier_key):
    header, lines = read(export)
    origin, size, root = signed_text(header["checkpoint"], verifier_key).split("\n")[:3]
    # Older entries may stand in an archive of their own: the tree over them is part of what was signed.
    after = header.get("after", {"entries": 0, "frontier": []})
    before, peaks = after["entries"], [base64.b64decode(peak) for peak in after["frontier"]]
    check(bin(before).count("1") == len(peaks), "the tree before the first entry")
    check(before + len(lines) == int(size), f"{len(lines)} entries instead of {int(size) - before}")
    leaves = (hashlib.sha256(b"\x00" + line).digest() for line in lines)
    check(base64.b64encode(tree_root(leaves, before, peaks)).decode() == root, "the entries")
    bodies = [json.loads(line) for line in lines]
    for number, body in enumerate(bodies, before + 1):
        check(body["seq"] == number, f"entry {number}")
    what = f"{size} entries" if before == 0 else f"entries {before + 1} to {size}"
    if os.path.isdir(export):
        what += f" and {check_blobs(export, size, bodies, verifier_key)} blobs"
    print(f"{what} of {origin} are what was signed")


if __name__ == "__main__":
    main(*sys.argv[1:])

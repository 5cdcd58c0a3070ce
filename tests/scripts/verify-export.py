#!/usr/bin/env python3
"""Verifies an export of the audit log with the public key alone, and without any of the engine's code.

    verify-export.py EXPORT.jsonl "$(cat audit.pub)"

Needs Python's standard library and the `openssl` program (3.0 or later)."""

import base64
import hashlib
import json
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


def tree_root(level):
    """RFC 6962: pairs are hashed level by level; one left over goes up as it is."""
    if not level:
        return hashlib.sha256(b"").digest()
    while len(level) > 1:
        above = [hashlib.sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2])]
        level = above + (level[-1:] if len(level) % 2 else [])
    return level[0]


def main(export, verifier_key):
    with open(export, "rb") as file:
        lines = file.read().split(b"\n")
    check(lines.pop() == b"", "the last line is cut off")
    header = json.loads(lines.pop(0))
    origin, size, root = signed_text(header["checkpoint"], verifier_key).split("\n")[:3]
    check(len(lines) == int(size), f"{len(lines)} entries instead of {size}")
    leaves = [hashlib.sha256(b"\x00" + line).digest() for line in lines]
    check(base64.b64encode(tree_root(leaves)).decode() == root, "the entries")
    for number, line in enumerate(lines, 1):
        check(json.loads(line)["seq"] == number, f"entry {number}")
    print(f"{size} entries of {origin} are what was signed")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A socket before the daemon's that can lose a request or hold back its answer, chosen by the service it is about."""

import json
import re
import socket
import threading
import urllib.parse

DAEMON = "/var/run/docker.sock"
PATIENCE_S = 300


class Trap:
    """The `nth` request of this kind about a service is lost, or done and not answered (`hold`)."""

    def __init__(self, service, kind, nth=1, trick="lose"):
        self.service, self.kind, self.nth, self.trick = service, kind, nth, trick
        self.seen = 0
        self.sprung = threading.Event()


class Proxy:
    def __init__(self, path, traps):
        self.traps = traps
        self.lock = threading.Lock()
        self.services = {}
        self.execs = {}
        self.held = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.guarded, args=(client,), daemon=True).start()

    def wait(self):
        for trap in self.traps:
            if not trap.sprung.wait(PATIENCE_S):
                raise SystemExit(f"no `{trap.kind}` number {trap.nth} of `{trap.service}` came")

    def guarded(self, client):
        try:
            self.serve(client)
        except OSError:
            pass  # The engine was killed.

    def serve(self, client):
        head, body = read_head(client)
        if not head:
            return client.close()
        text = head.decode()
        first, rest = text.split("\r\n", 1)
        kind, service = self.about(first)
        trap = self.trapped(kind, service)
        if trap:
            self.held.append(client)
        if trap and trap.trick == "lose":
            return trap.sprung.set()
        daemon = socket.socket(socket.AF_UNIX)
        daemon.connect(DAEMON)
        close = "" if "upgrade" in text.lower() else "Connection: close\r\n"
        daemon.sendall(f"{first}\r\n{close}{rest}".encode() + body)
        threading.Thread(target=copy, args=(client, daemon), daemon=True).start()
        if trap or kind == "exec":
            answer = b""
            while True:
                data = daemon.recv(65536)
                answer += data
                if not data or trap:
                    break
            if kind == "exec":
                self.learn(first, answer)
            if trap:
                return trap.sprung.set()
            client.sendall(answer)
        else:
            copy(daemon, client)
        client.shutdown(socket.SHUT_RDWR)

    def trapped(self, kind, service):
        with self.lock:
            for trap in self.traps:
                if (trap.kind, trap.service) == (kind, service) and not trap.sprung.is_set():
                    trap.seen += 1
                    if trap.seen == trap.nth:
                        return trap
        return None

    def about(self, first):
        """What kind of request this is, and about which service."""
        method, target, _ = first.split(" ")
        url = urllib.parse.urlsplit(target)
        parts = re.sub(r"^/v[0-9.]+", "", url.path).strip("/").split("/")
        if parts[0] == "exec":
            return f"exec-{parts[-1]}", self.service(self.execs.get(parts[1], ""))
        if parts[0] != "containers" or len(parts) < 2:
            return parts[0], ""
        if parts[1] == "create":
            name = urllib.parse.parse_qs(url.query).get("name", [""])[0]
            return "create", "/".join(name.split("-")[:2])
        if method == "DELETE":
            return "remove", self.service(parts[1])
        return parts[-1], self.service(parts[1])

    def service(self, container):
        if container not in self.services:
            labels = (ask(f"/containers/{container}/json").get("Config") or {}).get("Labels") or {}
            name = "com.docker.compose."
            self.services[container] = f"{labels.get(name + 'project')}/{labels.get(name + 'service')}"
        return self.services[container]

    def learn(self, first, answer):
        made = re.search(rb'"Id":"([0-9a-f]{64})"', answer)
        if made:
            self.execs[made.group(1).decode()] = first.split(" ")[1].split("/containers/")[1].split("/")[0]


def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass


def read_head(client):
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            return b"", b""
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    return head + b"\r\n\r\n", body


def ask(path):
    """Asks the daemon itself."""
    daemon = socket.socket(socket.AF_UNIX)
    daemon.connect(DAEMON)
    daemon.sendall(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
    answer = b""
    while data := daemon.recv(65536):
        answer += data
    return json.loads(answer.split(b"\r\n\r\n", 1)[1] or b"{}")

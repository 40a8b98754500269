"""How many round trips a whole client process takes, where one is 100 ms."""
import heapq
import os
import socket
import subprocess
import threading
import time

import stage as stages

TRIP_S = 0.1


class Far:
    """A port on loopback behind which another one is a round trip away: what comes in one direction goes on after
    half of it, and a connection is there after a whole one."""

    def __init__(self, port):
        self.port = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.own_port = self.listener.getsockname()[1]
        self.due, self.news, self.count, self.over = [], threading.Condition(), 0, False
        for work in (self.accept, self.deliver):
            threading.Thread(target=work, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.over = True
        self.listener.close()
        with self.news:
            self.news.notify()

    def accept(self):
        while not self.over:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                return
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            from_s = time.monotonic() + TRIP_S
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self.take, args=(source, target, from_s), daemon=True).start()

    def take(self, source, target, from_s):
        """What comes before the connection is there waits for that."""
        while True:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            with self.news:
                heapq.heappush(self.due, (max(time.monotonic(), from_s) + TRIP_S / 2, self.count, target, data))
                self.count += 1
                self.news.notify()
            if not data:
                return

    def deliver(self):
        while not self.over:
            with self.news:
                left_s = self.due[0][0] - time.monotonic() if self.due else 1
                if left_s > 0:
                    self.news.wait(left_s)
                    continue
                _, _, target, data = heapq.heappop(self.due)
            try:
                if data:
                    target.sendall(data)
                else:
                    target.shutdown(socket.SHUT_WR)
            except OSError:
                continue


def environment(words):
    """Of a contestant: its environment, and its words."""
    own = dict(os.environ)
    while "=" in words[0]:
        name, value = words.pop(0).split("=", 1)
        own[name] = value
    return own, words


def timed(words):
    own, words = environment(list(words))
    begun = time.monotonic()
    stages.run(*words, env=own)
    return (time.monotonic() - begun) / TRIP_S


def ssh_mux(stage, peers, far):
    path = f"{stage.folder}/far-mux"
    words = [str(far.own_port) if word == peers.ssh_words[peers.ssh_words.index("-p") + 1] else word
             for word in peers.ssh_words]
    peers.begin("ssh", "-M", "-S", path, "-N", *words[1:], ready=lambda: os.path.exists(path))
    return ["ssh", "-F", "none", "-S", path, words[-1], "true"]


def trips(stage, peers, rows):
    group = "a whole client process that runs true, in round trips of 100 ms"
    folder = stage.static if stage.has_static() else stage.bin
    rounds = stage.count(6, 4)
    with stage.serve() as server, Far(int(server.tls.rsplit(":", 1)[1])) as far:
        url = f"tls://127.0.0.1:{far.own_port}"
        run = [f"{folder}/afar", "run"]
        command = [url, "--", "/bin/true"]
        table = {"afar, first contact": run + command,
                 "afar, resumed": [f"AFAR_SESSIONS={stage.folder}/sessions-far", *run, *command],
                 "afar, shared": [*stage.share(folder, url), *run, "--share", "1h", *command]}
        time.sleep(4 * TRIP_S)  # until the share has more than one connection
        for name, words in table.items():
            found = [timed(words) for _ in range(rounds + 1)][1:]
            rows.medians(group, {name: found}, "trips")
    if peers.ssh_words:
        port = int(peers.ssh_words[peers.ssh_words.index("-p") + 1])
        with Far(port) as far:
            try:
                words = ssh_mux(stage, peers, far)
                found = [timed(words) for _ in range(rounds)]
                rows.medians(group, {"ssh mux": found}, "trips")
            except (RuntimeError, subprocess.SubprocessError) as failure:
                print(f"ssh mux over {TRIP_S} s: {failure}")
    rows.goal_to(group, "afar, shared", "one round trip", 1, 1.3)
    rows.goal_of(group, "afar, shared", "ssh mux", None)

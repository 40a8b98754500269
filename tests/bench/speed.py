"""Measures of time: cold, warm, rate, streams, beside."""
import os
import statistics
import subprocess
import time

import stage as stages

CIPHERS = ("aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com")  # the fastest with AES-NI; the default
BARE = "bare TCP: read, send, receive, write"
LIMITS = ("true (exec)", "hello (TLS and nothing else), full", "hello, resumed")


# ---- one whole client process ----

def afar_contestants(stage, server):
    """Dynamic and static, by where TLS begins: first contact (no session kept), resumed, over a connection that is
    shared, and without TLS."""
    table = {}
    for label, folder in (("afar", stage.bin), ("afar static", stage.static)):
        if label == "afar static" and not stage.has_static():
            continue
        words = [f"{folder}/afar", "run"]
        first, kept = (f"{stage.folder}/sessions-{kind}-{label[5:]}" for kind in ("first", "kept"))
        table[f"{label}, first contact"] = ["program", f"empty={first}", f"AFAR_SESSIONS={first}", *words, server.tls,
                                            "--", "/bin/true"]
        table[f"{label}, resumed"] = ["program", f"AFAR_SESSIONS={kept}", *words, server.tls, "--", "/bin/true"]
        table[f"{label}, shared"] = ["program", *stage.share(folder, server.tls), *words, "--share", "1h", server.tls,
                                     "--", "/bin/true"]
        table[f"{label}, plain TCP"] = ["program", *words, server.tcp, "--", "/bin/true"]
    return table


def limit_contestants(stage, server):
    port, session = server.tls.rsplit(":", 1)[1], f"{stage.folder}/hello-session"
    stages.run(stage.hello, port, *stage.credentials, session)
    return dict(zip(LIMITS, (["program", "/bin/true"], ["program", stage.hello, port, *stage.credentials],
                             ["program", stage.hello, port, session])))


def cold(stage, peers, rows):
    group = "cold: one whole client process that runs true"
    with stage.serve() as server:
        table = limit_contestants(stage, server) | afar_contestants(stage, server)
        table |= {name: ["program", *words] for name, words in peers.programs.items()}
        rows.times(group, stage.turns(stage.count(200, 20), table))
    peer = min((name for name in peers.programs if name.endswith(", cold")), default="",
               key=lambda name: rows.value(group, name))
    exec_ms, *tls_ms = (rows.value(group, name) for name in LIMITS)
    limits = {kind: exec_ms + ms for kind, ms in zip(("first contact", "resumed"), tls_ms)}
    for name in ("afar static, shared", "afar, shared"):
        rows.goal_of(group, name, "ssh mux", 0.35)
    for kind, of_mux in (("first contact", 1.0), ("resumed", 0.6)):
        for name in (f"afar static, {kind}", f"afar, {kind}"):
            rows.goal_of(group, name, "ssh mux", of_mux)
            if kind == "first contact":
                rows.goal_of(group, name, peer, 0.35)
            rows.goal(group, name, rows.value(group, name), "the limit, true and hello", limits[kind])


# ---- an open connection ----

def warm(stage, peers, rows):
    group = "warm: true on an open connection, in process, one at a time"
    with stage.serve() as server:
        rows.times(group, stage.turns(stage.count(3000, 400), {
            "local spawn": ["spawn"], "afar TCP": ["connection", server.tcp], "afar TLS": ["connection", server.tls]}))
        if "ssh mux" in peers.programs:
            rows.times(group, {"ssh mux (a process each)": stage.turns(
                stage.count(200, 20), {"mux": ["program", *peers.programs["ssh mux"]]})["mux"]})
    rows.goal_of(group, "afar TCP", "local spawn", 1.25)
    rows.goal_of(group, "afar TLS", "local spawn", 1.35)


def rate(stage, peers, rows):
    group = "commands per second, saturated"
    with stage.serve() as server:
        races = {"local spawn, on all cores": (stages.CORES, "spawn"),
                 "afar TCP, 64 connections": (64, "connection", server.tcp),
                 "afar TLS, 64 connections": (64, "connection", server.tls)}
        if "ssh mux" in peers.programs:
            for count in (8, 64):
                races[f"ssh mux, {count} at once"] = (count, "program", *peers.programs["ssh mux"])
        found = {name: [] for name in races}
        for _ in range(stage.count(4, 2)):
            for name, (count, *words) in races.items():
                found[name].append(stage.rate(stage.count(3, 1), count, *words))
    rows.speeds(group, found, "/s")
    for name in ("afar TCP, 64 connections", "afar TLS, 64 connections"):
        rows.goal_of(group, name, "local spawn, on all cores", 0.8, "more")


# ---- streams ----

def stream_lines(stage, server, peers, size):
    """Shell lines by name: one that takes `size` bytes from a command, and one that gives it them."""
    afar = f"{stage.bin}/afar run"
    make, drop = f"head -c {size} /dev/zero", "sh -c 'cat >/dev/null'"
    table = {"local pipe": (f"{make} | cat >/dev/null",) * 2,
             BARE: (f"{make} | {stage.clock} relay >/dev/null", f"{make} | {stage.clock} relay | cat >/dev/null")}
    for name, url in (("afar TLS", server.tls), ("afar plain", server.tcp)):
        table[name] = (f"{afar} -n {url} -- {make} >/dev/null", f"{make} | {afar} {url} -- {drop}")
    for cipher in CIPHERS if peers.ssh_words else ():
        ssh = " ".join([*peers.ssh_words[:1], "-c", cipher, *peers.ssh_words[1:]])
        table[f"ssh {cipher.split('@')[0]}"] = (f"{ssh} {make} </dev/null >/dev/null",
                                                f"{make} | {ssh} 'cat >/dev/null'")
    return table | peers.socat_streams(size)


def streams(stage, peers, rows):
    size = stage.count(4096, 512) << 20
    with stage.serve() as server:
        table = stream_lines(stage, server, peers, size)
        for which, direction in enumerate(("out", "in")):
            group = f"stream {direction}, {size >> 20:,} MiB"
            found = {name: [] for name in table}
            for _ in range(stage.count(3, 2)):
                for name, lines in table.items():
                    begun = time.monotonic()
                    stages.run("bash", "-c", f"set -o pipefail; {lines[which]}")
                    found[name].append((size >> 20) / (time.monotonic() - begun))
            rows.speeds(group, found, "MiB/s")
            ssh = max((name for name in table if name.startswith("ssh")), default="",
                      key=lambda name: statistics.median(found[name]))
            rows.goal_of(group, "afar TLS", ssh, 1.4, "more")
            rows.goal_of(group, "afar TLS", "local pipe", 0.75, "more")
            rows.goal_of(group, "afar plain", "socat plain", 1.3, "more")
            rows.goal_of(group, "afar plain", "local pipe", 0.9, "more")
            rows.goal_of(group, "afar plain", BARE, None, "more")
            rows.goal_of(group, BARE, "local pipe", None, "more")


# ---- a network with long ways ----

ROUND_TRIP_MS = 100
FAR_BARE = "bare TCP through the same relay"


class Far:
    """A relay to that port in which everything takes ROUND_TRIP_MS there and back."""

    def __init__(self, stage, port):
        self.process = subprocess.Popen([stage.clock, "far", str(port), str(ROUND_TRIP_MS)], stdout=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, text=True, preexec_fn=stages.die_with_us)
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        stages.stop(self.process)
        self.process.stdout.close()


def far_lines(stage, server, peers, size, ways):
    """As stream_lines, through relays, which are put into `ways`."""
    def through(port):
        ways.append(Far(stage, port))
        return ways[-1].port

    afar = f"{stage.bin}/afar run"
    make, drop = f"head -c {size} /dev/zero", "sh -c 'cat >/dev/null'"
    bare = f"{make} | {stage.clock} relay {ROUND_TRIP_MS} >/dev/null"
    table = {FAR_BARE: (bare, bare)}
    for name, url in (("afar TLS", server.tls), ("afar plain", server.tcp)):
        before, port = url.rsplit(":", 1)
        url = f"{before}:{through(port)}"
        table[name] = (f"{afar} -n {url} -- {make} >/dev/null", f"{make} | {afar} {url} -- {drop}")
    if peers.ssh_words:
        ssh = " ".join(peers.ssh_through(through(peers.ssh_port), CIPHERS[0]))
        table["ssh"] = (f"{ssh} {make} </dev/null >/dev/null", f"{make} | {ssh} 'cat >/dev/null'")
    return table


def far(stage, peers, rows):
    """Round trips of a whole client process; FAR_BARE shows that it is not the relay that they wait for."""
    size = 64 << 20
    ways, found = [], {}
    try:
        with stage.serve() as server:
            table = far_lines(stage, server, peers, size, ways)
            for _ in range(stage.count(3, 2)):
                for name, lines in table.items():
                    for line, direction in zip(lines, ("out", "in")):
                        begun = time.monotonic()
                        stages.run("bash", "-c", f"set -o pipefail; {line}")
                        taken = (time.monotonic() - begun) * 1000 / ROUND_TRIP_MS
                        found.setdefault((direction, name), []).append(taken)
    finally:
        for way in ways:
            way.__exit__()
    for direction in ("out", "in"):
        group = f"far {direction}, {size >> 20} MiB, {ROUND_TRIP_MS} ms there and back"
        for name in table:
            rows.add(group, name, statistics.median(found[direction, name]), "round trips")
        for name in ("afar TLS", "afar plain"):
            rows.goal(group, name, rows.value(group, name), "ten round trips", 10, 1)
            rows.goal_of(group, name, "ssh", 0.25)
            rows.goal_of(group, name, FAR_BARE, None)


class Streams:
    """Four that run until the end of `with`, each a client process of its own."""

    def __init__(self, *words, into=False):
        self.words = words
        self.source = "/dev/zero" if into else os.devnull
        self.counted = "rchar:" if into else "wchar:"

    def __enter__(self):
        with open(self.source, "rb") as source:
            self.processes = [subprocess.Popen(self.words, stdin=source, stdout=subprocess.DEVNULL,
                                               stderr=subprocess.DEVNULL, preexec_fn=stages.die_with_us)
                              for _ in range(4)]
        try:
            for process in self.processes:
                self.wait_for(process, 64 << 20)
        except BaseException:
            self.__exit__()
            raise
        self.begun, self.before = time.monotonic(), self.moved()
        return self

    def moved_by(self, process):
        with open(f"/proc/{process.pid}/io", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(self.counted))

    def moved(self):
        return sum(self.moved_by(process) for process in self.processes)

    def rate(self):
        """MiB/s of all four, since they were at full speed."""
        return (self.moved() - self.before) / (time.monotonic() - self.begun) / (1 << 20)

    def wait_for(self, process, size):
        """Until it is at full speed: until it has moved so many bytes."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            if self.moved_by(process) >= size:
                return
            time.sleep(0.01)
        raise RuntimeError("a stream does not flow")

    def __exit__(self, *unused):
        for process in self.processes:
            process.kill()
            process.wait()


def beside_rivals(stage, server, plain, peers, into):
    """By name: the contestant, a stream of the same program, and how many rounds. Afar also without its bulk
    workers: what they cost those that carry much."""
    stream = ["sh", "-c", "cat >/dev/null"] if into else ["head", "-c", "1000000000000", "/dev/zero"]
    found = {name: (["connection", url], [f"{stage.bin}/afar", "run", *(() if into else ("-n",)), url, "--", *stream],
                    stage.count(400, 100))
             for name, url in (("afar TLS", server.tls), ("afar TLS, no bulk workers", plain.tls))}
    if "ssh mux" in peers.programs:
        words = ["cat >/dev/null"] if into else stream
        found["ssh mux"] = (["program", *peers.programs["ssh mux"]], [*peers.ssh_words, *words], stage.count(50, 10))
    return found


def beside_one(stage, peers, rows, into):
    """Blocks without the streams and with them, in turns."""
    group = f"true beside 4 streams {'in' if into else 'out'} at full speed"
    found, rates = {}, {}
    with stage.serve() as server, stage.serve(arguments=("--set", "bulk_workers=0")) as plain:
        rivals = beside_rivals(stage, server, plain, peers, into)
        for _ in range(3):
            for name, (contestant, stream, rounds) in rivals.items():
                table = {name: contestant, f"local spawn, {name}": ["spawn"]}
                alone = stage.turns(rounds, table)
                with Streams(*stream, into=into) as streams_at_work:
                    busy = stage.turns(rounds, table)
                    rates.setdefault(f"streams, {name}", []).append(streams_at_work.rate())
                for each in table:
                    found.setdefault(f"{each}, alone", []).extend(alone[each])
                    found.setdefault(f"{each}, beside", []).extend(busy[each])
    keep = [name for name in found
            if not name.startswith(("local spawn, ssh", "local spawn, afar TLS, no"))]
    rows.times(group, {name.replace("spawn, afar TLS,", "spawn,"): found[name] for name in keep})
    rows.speeds(group, rates, "MiB/s")
    rows.goal_of(group, "afar TLS, beside", "afar TLS, alone", 5, key="p99")
    rows.goal_of(group, "streams, afar TLS", "streams, afar TLS, no bulk workers", 0.97, "more")
    mean = {name: statistics.mean(found[f"{name}, beside"]) for name in rivals if name.startswith("afar")}
    rows.goal(group, "afar TLS, beside (per second)", 1 / mean["afar TLS"], "without bulk workers",
              1 / mean["afar TLS, no bulk workers"], 0.97, "more")


def beside(stage, peers, rows):
    for into in (False, True):
        beside_one(stage, peers, rows, into)

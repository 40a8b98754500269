"""Measures of streams: streams, and far, where each round trip takes long."""
import functools
import statistics
import subprocess
import time

import files
import kept
import stage as stages

CIPHERS = ("aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com")  # the fastest with AES-NI; the default
BARE = "bare TCP: read, send, receive, write"
DIRECTIONS = ("out", "in")
TLS_OF_BARE = {"out": 0.45, "in": 0.4}  # AES is a quarter of a TLS stream, and its records are copied once more


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


def streams(stage, peers, rows, direction):
    size = stage.count(1024, 256) << 20
    group = f"stream {direction}, {size >> 20:,} MiB"
    with stage.serve() as server:
        table = stream_lines(stage, server, peers, size)
        found = {name: [] for name in table}
        for _ in stage.rounds(14, 3, 9):
            for name, lines in table.items():
                begun = time.monotonic()
                stages.run("bash", "-c", f"set -o pipefail; {lines[DIRECTIONS.index(direction)]}")
                found[name].append((size >> 20) / (time.monotonic() - begun))
    rows.medians(group, found, "MiB/s", "more")
    ssh = max((name for name in table if name.startswith("ssh")), default="",
              key=lambda name: statistics.median(found[name]))
    rows.goal_of(group, "afar TLS", ssh, 1.4, "more")
    rows.goal_of(group, "afar TLS", BARE, TLS_OF_BARE[direction], "more")
    rows.goal_of(group, "afar plain", "socat plain", 1.3, "more")
    rows.goal_of(group, "afar plain", BARE, 0.9, "more")


STREAMS = {direction: functools.partial(streams, direction=direction) for direction in DIRECTIONS}


# ---- a network with long ways ----

ROUND_TRIP_MS = 100
FAR_BARE = "bare TCP through the same relay"
FAR_OURS = ("afar TLS", "afar plain", "afar TLS, kept")


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
    for name, url in zip(FAR_OURS, (server.tls, server.tcp, server.tls)):
        before, port = url.rsplit(":", 1)
        url = f"{before}:{through(port)}"
        ours = f"{afar} --keep" if name.endswith("kept") else afar
        table[name] = (f"{ours} -n {url} -- {make} >/dev/null", f"{make} | {ours} {url} -- {drop}")
    if peers.ssh_words:
        ssh = " ".join(peers.ssh_through(through(peers.ssh_port), CIPHERS[0]))
        table["ssh"] = (f"{ssh} {make} </dev/null >/dev/null", f"{make} | {ssh} 'cat >/dev/null'")
    return table


def far(stage, peers, rows, direction):
    """Round trips of a whole client process; FAR_BARE shows that it is not the relay that they wait for."""
    size = 64 << 20
    group = f"far {direction}, {size >> 20} MiB, {ROUND_TRIP_MS} ms there and back"
    ways, found = [], {}
    try:
        with kept.State(stage) as state, stage.serve(
                arguments=(*state.arguments, "--set", f"spool_bytes={2 * size}")) as server:
            table = far_lines(stage, server, peers, size, ways)
            for _ in range(stage.count(3, 2)):
                for name, lines in table.items():
                    begun = time.monotonic()
                    stages.run("bash", "-c", f"set -o pipefail; {lines[DIRECTIONS.index(direction)]}")
                    found.setdefault(name, []).append((time.monotonic() - begun) * 1000 / ROUND_TRIP_MS)
    finally:
        for way in ways:
            way.__exit__()
    rows.medians(group, found, "trips")
    for name in FAR_OURS:
        rows.goal_to(group, name, "ten round trips", 10, 1)
        rows.goal_of(group, name, "ssh", 0.25)
        rows.goal_of(group, name, FAR_BARE, None)


# ---- readers that are slow ----

READERS, READ_AT = 4, 3 << 20


def read_slowly(clients, seconds):
    """READ_AT bytes a second from each."""
    begun, piece = time.monotonic(), READ_AT // 50
    for step in range(seconds * 50):
        for client in clients:
            left = piece
            while left > 0:
                left -= len(client.stdout.read1(left))
        time.sleep(max(0, begun + (step + 1) / 50 - time.monotonic()))


def slow(stage, server, rows):
    """Nobody is to hold more for a reader than it needs."""
    group = f"far: memory of a run whose reader takes {READ_AT >> 20} MiB/s, {ROUND_TRIP_MS} ms there and back"
    for scheme, url in (("TLS", server.tls), ("plain", server.tcp)):
        before, port = url.rsplit(":", 1)
        with Far(stage, int(port)) as way:
            words = [f"{stage.bin}/afar", "run", "-n", f"{before}:{way.port}", "--"]
            stages.run(*words, "true")
            at_rest = stages.pss_kib(server.pid)
            clients = [subprocess.Popen([*words, "head", "-c", "1000000000000", "/dev/zero"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, preexec_fn=stages.die_with_us) for _ in range(READERS)]
            try:
                ours, theirs = [], []
                for _ in range(stage.count(3, 2)):
                    read_slowly(clients, 2)
                    ours.append((stages.pss_kib(server.pid) - at_rest) / READERS)
                    theirs.append(statistics.mean(files.private_kib(client.pid) for client in clients))
            finally:
                for client in clients:
                    client.kill()
                    client.wait()
                    client.stdout.close()
        rows.add(group, f"the server's, {scheme}", max(ours), "KiB", numbers=ours)
        rows.add(group, f"the whole client's, private, {scheme}", max(theirs), "KiB", numbers=theirs)
        rows.goal_to(group, f"the server's, {scheme}", "2 MiB", 2048, 1)


def slow_readers(stage, peers, rows):
    del peers
    with stage.serve() as server:
        slow(stage, server, rows)


FAR = {**{direction: functools.partial(far, direction=direction) for direction in DIRECTIONS}, "slow": slow_readers}

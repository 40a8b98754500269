"""Measures of size: memory, start, growth."""
import glob
import os
import statistics
import subprocess
import time

import kept
import peers as others
import rows as tables
import speed
import stage as stages

SLEEP = ("/bin/sleep", "1000")


# ---- memory ----

def connection_kib(stage, count):
    """Of the server, for each of so many TLS connections that do nothing."""
    with stage.serve() as server:
        with stage.hold(server.tls, 50):
            pass  # what the first ones cost is not theirs alone
        before = stages.pss_kib(server.pid)
        with stage.hold(server.tls, count):
            return (stages.pss_kib(server.pid) - before) / count


def job_kib(stage, count):
    """Of the server, for each of so many commands that run, beside their connections."""
    with stage.serve() as server:
        with stage.hold(server.tls, count, *SLEEP) as crowd:
            before = stages.pss_kib(server.pid)
            crowd.begin()
            return (stages.pss_kib(server.pid) - before) / count


def memory(stage, peers, rows):
    group = "memory"
    times = stage.count(3, 2)
    found = {"afard, per idle TLS connection": [connection_kib(stage, stage.count(2000, 300)) for _ in range(times)],
             "afard, per running job": [job_kib(stage, stage.count(500, 100)) for _ in range(times)]}
    if peers.ssh_words:
        found["sshd, per idle connection"] = [sshd_kib(peers, 10) for _ in range(2)]
    rows.medians(group, found, "KiB")
    rows.goal_of(group, "afard, per idle TLS connection", "sshd, per idle connection", 0.012)
    rows.goal_to(group, "afard, per running job", "64 KiB", 64, 1)


def settled(peers, before, count):
    """So many processes of sshd more, and still the same a while later: those for the handshake come and go."""
    deadline = time.monotonic() + 60
    seen = set()
    while time.monotonic() < deadline:
        time.sleep(1)
        now = stages.descendants(peers.sshd.pid) - before
        if len(now) == count and now == seen:
            return now
        seen = now
    raise RuntimeError("sshd does not take the connections")


def sshd_kib(peers, count):
    """Two processes for each, beside those that were there."""
    before = stages.descendants(peers.sshd.pid)
    words = [*peers.ssh_words[:1], "-N", *peers.ssh_words[1:]]
    idle = [subprocess.Popen(words, stdin=subprocess.DEVNULL, preexec_fn=stages.die_with_us) for _ in range(count)]
    try:
        return sum(stages.pss_kib(pid) for pid in settled(peers, before, 2 * count)) / count
    finally:
        for each in idle:
            stages.stop(each)


# ---- start ----

def child_start(stage, rows):
    """What helpers and keepers are: from its execve to its end, told that it is neither."""
    group = "the program of helpers and keepers: one process that does nothing"
    child = glob.glob(f"{stage.bin}/../libexec/afar/afard-child-*")
    if not child:
        return
    rows.times(group, stage.turns(stage.count(200, 40), {
        "true": ["program", "/bin/true"], "afard-child": ["program", "as=nobody", child[0]],
        "afard --version": ["program", f"{stage.bin}/afard", "--version"]}))
    rows.goal_to(group, "afard-child", "1.5 ms", 1.5, 1)


def start(stage, peers, rows):
    group = "server: from its start to its first answer; sizes"
    port = str(others.free_port())
    table = {"afard": ["listening", *stage.afard_words()]}
    if stage.has_static("afard"):
        table["afard static"] = ["listening", *stage.afard_words(f"{stage.static}/afard")]
    table |= {name: ["greeting", port, *words] for name, words in peers.server_words(port).items()}
    found = {name: [] for name in table}
    for _ in range(stage.count(30, 5)):
        for name, words in table.items():
            line = stages.run(stage.clock, "start", "1", *words)
            found[name].append(float(line.split()[1]))
    rows.times(group, found)
    for name in ("afard", "afard static"):
        rows.goal_to(group, name, "20 ms", 20, 1)
    child_start(stage, rows)
    for label, path in (("afar", f"{stage.bin}/afar"), ("afard", f"{stage.bin}/afard"),
                        ("afar static", f"{stage.static}/afar"), ("afard static", f"{stage.static}/afard"),
                        ("ssh", others.find("ssh")), ("sshd", others.find("sshd")),
                        ("dbclient", others.find("dbclient")), ("dropbear", others.find("dropbear"))):
        if path and os.path.exists(path):
            rows.add(group, f"size of {label}", os.path.getsize(path) / 1e6, "MB", swing="no noise")


# ---- growth ----

TIMES = "growth: time beside others, as a ratio to the same without them"
MEMORY = "growth: memory of the server for each, of so many"
START = "growth: a server's start, with finished commands in its state folder"
STREAM_MIB = 128


class Pair:
    """A server with a crowd and one without, asked in turns: what each measure costs more beside the crowd. Each
    answers with two lists of times, in the order of time."""

    def __init__(self, stage, crowded, calm):
        self.stage, self.servers = stage, {"crowded": crowded, "calm": calm}

    def turns(self, rounds, contestant):
        return self.stage.turns(rounds, {name: contestant(server) for name, server in self.servers.items()})

    def each(self, rounds, measure):
        found = {name: [] for name in self.servers}
        for turn in range(rounds):
            for name in list(found)[::1 if turn % 2 else -1]:
                found[name].append(measure(self.servers[name]))
        return found

    def stream(self, url, into):
        """Seconds. What comes in is dropped by the command, and no longer counted once it has ended."""
        make, drop = f"head -c {STREAM_MIB << 20} /dev/zero", "sh -c 'cat >/dev/null'"
        afar = f"{self.stage.bin}/afar run"
        begun = time.monotonic()
        stages.run("sh", "-c", f"{make} | {afar} {url} -- {drop}" if into else f"{afar} -n {url} -- {make} >/dev/null")
        return time.monotonic() - begun

    def all(self):
        count = self.stage.count
        yield "cold", self.turns(count(25, 10), lambda server: speed.afar_contestants(
            self.stage, server)["afar, resumed"])
        yield "warm", self.turns(count(400, 100), lambda server: ["connection", server.tls])
        yield "rate", self.each(count(3, 2), lambda server: 1 / self.stage.rate(1, 64, "connection", server.tls))
        for scheme in ("tls", "tcp"):
            for into in (False, True):
                name = f"stream {'in' if into else 'out'}, {'TLS' if scheme == 'tls' else 'plain'}"
                yield name, self.each(count(3, 2), lambda server, scheme=scheme, into=into: self.stream(
                    getattr(server, scheme), into))


def extremes(rows, group, names, bound=1.2):
    """The slowest is to be at most so many times the fastest; how far the quartiles of both are apart is its swing."""
    found = sorted((rows.value(group, name), rows.value(group, name, "quartiles") or [rows.value(group, name)] * 2)
                   for name in names)
    (least, around_least), (most, around_most) = found[0], found[-1]
    rows.goal(group, f"{names[0].rpartition(', ')[0]}: the most", most, "the least", least, bound,
              swing=[around_most[0] / around_least[1], around_most[1] / around_least[0]], of=len(found))


def growth_of_times(stage, peers, rows):
    del peers
    steps = [(0, ()), (1000, ()), (10000, ()), (1000, SLEEP)]
    if stage.quick:
        steps = [(0, ()), (1000, ()), (100, SLEEP)]
    names = {}
    with stage.serve() as calm:
        for count, command in steps:
            with stage.serve() as crowded:
                crowd = stage.hold(crowded.tls, count, *command) if count else None
                if command:
                    crowd.begin()
                for what, found in Pair(stage, crowded, calm).all():
                    name = f"{what}, {count:,} {'running jobs' if command else 'idle connections'}"
                    ratio = statistics.median(found["crowded"]) / statistics.median(found["calm"])
                    rows.add(TIMES, name, ratio, "x", numbers=tables.ratios(found["crowded"], found["calm"]))
                    names.setdefault(what, []).append(name)
                if crowd:
                    crowd.close()
    for each in names.values():
        extremes(rows, TIMES, each)


def growth_of_memory(stage, peers, rows):
    del peers
    times = 2
    for what, measure, counts in (("a TLS connection", connection_kib, (1000, stage.count(10000, 3000))),
                                  ("a running job", job_kib, (100, stage.count(1000, 300)))):
        names = [f"{what}, of {count:,}" for count in counts]
        for name, count in zip(names, counts):
            rows.medians(MEMORY, {name: [measure(stage, count) for _ in range(1 if count > 5000 else times)]}, "KiB")
        extremes(rows, MEMORY, names)


def growth_of_start(stage, peers, rows):
    """What a server finds there it reads before it listens, or after."""
    del peers
    found = {}
    with kept.State(stage) as state:
        there = 0
        for count in (0, 100, stage.count(1000, 300)):
            if count > there:
                with stage.serve(arguments=state.arguments) as server:
                    with stage.hold(server.tls, count - there, "--keep", "true") as crowd:
                        crowd.begin()
                    kept.await_end(server)
            there = count
            name = f"with {count:,}"
            for _ in range(stage.count(15, 4)):
                line = stages.run(stage.clock, "start", "1", "listening", *stage.afard_words(), *state.arguments)
                found.setdefault(name, []).append(float(line.split()[1]))
    rows.times(START, found)
    for name in list(found)[1:]:
        rows.goal_of(START, name, "with 0", None)
    rows.goal_to(START, name, "1 s", 1000, 1)


GROWTH = {"time": growth_of_times, "memory": growth_of_memory, "start": growth_of_start}

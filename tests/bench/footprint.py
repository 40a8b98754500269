"""Measures of size: memory, start, growth."""
import os
import statistics
import subprocess
import time

import peers as others
import speed
import stage as stages

SLEEP = ("/bin/sleep", "1000")


# ---- memory ----

def memory(stage, peers, rows):
    group = "memory"
    count, jobs = stage.count(2000, 300), stage.count(500, 100)
    with stage.serve() as server:
        with stage.hold(server.tls, 50):
            pass  # what the first ones cost is not theirs alone
        before = stages.pss_kib(server.pid)
        with stage.hold(server.tls, count):
            rows.add(group, "afard, per idle TLS connection", (stages.pss_kib(server.pid) - before) / count, "KiB")
    with stage.serve() as server:
        with stage.hold(server.tls, jobs, *SLEEP) as crowd:
            before = stages.pss_kib(server.pid)
            crowd.begin()
            rows.add(group, "afard, per running job", (stages.pss_kib(server.pid) - before) / jobs, "KiB")
    if peers.ssh_words:
        rows.add(group, "sshd, per idle connection", sshd_kib(peers, 20), "KiB")
    rows.goal_of(group, "afard, per idle TLS connection", "sshd, per idle connection", 0.012)
    rows.goal(group, "afard, per running job", rows.value(group, "afard, per running job"), "64 KiB", 64, 1)


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
        rows.goal(group, name, rows.value(group, name), "20 ms", 20, 1)
    for label, path in (("afar", f"{stage.bin}/afar"), ("afard", f"{stage.bin}/afard"),
                        ("afar static", f"{stage.static}/afar"), ("afard static", f"{stage.static}/afard"),
                        ("ssh", others.find("ssh")), ("sshd", others.find("sshd")),
                        ("dbclient", others.find("dbclient")), ("dropbear", others.find("dropbear"))):
        if path and os.path.exists(path):
            rows.add(group, f"size of {label}", os.path.getsize(path) / 1e6, "MB")


# ---- growth ----

class Pair:
    """A server with a crowd and one without, asked in turns: what each measure costs more beside the crowd."""

    def __init__(self, stage, crowded, calm):
        self.stage, self.servers = stage, {"crowded": crowded, "calm": calm}

    def medians(self, rounds, contestant):
        found = self.stage.turns(rounds, {name: contestant(server) for name, server in self.servers.items()})
        return statistics.median(found["crowded"]) / statistics.median(found["calm"])

    def rates(self, rounds):
        found = {name: [] for name in self.servers}
        for _ in range(rounds):
            for name, server in self.servers.items():
                found[name].append(self.stage.rate(1, 64, "connection", server.tls))
        return statistics.median(found["calm"]) / statistics.median(found["crowded"])

    def streams(self, rounds, size):
        found = {name: [] for name in self.servers}
        for _ in range(rounds):
            for name, server in self.servers.items():
                begun = time.monotonic()
                stages.run(f"{self.stage.bin}/afar", "run", "-n", server.tls, "--", "head", "-c", str(size),
                           "/dev/zero", stdout=subprocess.DEVNULL)
                found[name].append(time.monotonic() - begun)
        return statistics.median(found["crowded"]) / statistics.median(found["calm"])

    def all(self):
        count = self.stage.count
        return {"cold": self.medians(count(60, 15), lambda server: speed.afar_contestants(
                    self.stage, server)["afar, resumed"]),
                "warm": self.medians(count(1000, 200), lambda server: ["connection", server.tls]),
                "rate": self.rates(count(4, 1)), "stream": self.streams(count(16, 1), 256 << 20)}


def growth(stage, peers, rows):
    del peers
    group = "growth: time beside others, as a ratio to the same without them"
    steps = [(0, ()), (100, ()), (1000, ()), (10000, ())] + [(count, SLEEP) for count in (1, 10, 100, 1000)]
    if stage.quick:
        steps = [step for step in steps if step[0] <= (100 if step[1] else 1000)]
    ratios = {}
    with stage.serve() as calm:
        for count, command in steps:
            with stage.serve() as crowded:
                crowd = stage.hold(crowded.tls, count, *command) if count else None
                if command:
                    crowd.begin()
                for name, ratio in Pair(stage, crowded, calm).all().items():
                    what = "running jobs" if command else "idle connections"
                    beside = f"{count:,} {what}"
                    rows.add(group, f"{name}, {beside}", ratio, "x")
                    ratios.setdefault(name, []).append(ratio)
                if crowd:
                    crowd.close()
    for name, each in ratios.items():
        rows.goal(group, f"{name}: the slowest", max(each), "the fastest", min(each), 1.2)

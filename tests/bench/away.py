"""Measures of a lost connection: away. The connection is cut by the client itself (`clock resume`): what was on its
way is lost, as with a network's, and no proxy takes part in the rate."""
import os
import statistics
import time

import stage as stages
import streams

GAP_MORE_MS = 10
ROUND_TRIP_MS = 100


class Cut:
    """What a command told whose connection was cut: lists of numbers by name."""

    def __init__(self, stage, url, mebibytes, cuts, *command):
        self.found = {}
        for line in stages.run(stage.clock, "resume", url, str(mebibytes), str(cuts), *command).splitlines():
            name, value = line.split()
            self.found.setdefault(name, []).append(float(value))

    def __getitem__(self, name):
        return self.found[name]


def gaps(stage, server, rows):
    """From the cut to the first new byte, beside what a connection and a round trip took in the same run."""
    group = "away: from the cut of a connection to the first new byte"
    with streams.Far(stage, int(server.tls.rsplit(":", 1)[1])) as far:
        far_url = f"tls://127.0.0.1:{far.port}"
        for where, url, rounds in (("near", server.tls, stage.count(30, 5)),
                                   (f"{ROUND_TRIP_MS} ms away", far_url, stage.count(8, 2))):
            found, least = [], []
            for _ in range(rounds):
                cut = Cut(stage, url, 1, 1, "head", "-c", str(6 << 20), "/dev/zero")
                found += [us / 1000 for us in cut["gap"]]
                least.append((cut["connect"][0] + cut["trip"][0]) / 1000)
            rows.add(group, where, statistics.median(found), "ms", numbers=found)
            name = f"connect and one round trip, {where}"
            rows.add(group, name, statistics.median(least), "ms", numbers=least)
            rows.goal(group, where, statistics.median(found), f"{name}, and {GAP_MORE_MS} ms",
                      statistics.median(least) + GAP_MORE_MS, 1,
                      swing=[ours / (theirs + GAP_MORE_MS) for ours, theirs in zip(found, least)])


def rates(stage, server, rows):
    size = stage.count(2048, 512) << 20
    group = f"away: stream out that was cut once, {size >> 20:,} MiB"
    for which, url in (("TLS", server.tls), ("plain", server.tcp)):
        found = {f"{which}, never cut": [], f"{which}, resumed": []}
        for _ in stage.rounds(8, 3, 9):
            for cuts, numbers in enumerate(found.values()):
                numbers += Cut(stage, url, 64, cuts, "head", "-c", str(size), "/dev/zero")["rate"]
        rows.medians(group, found, "MiB/s", "more")
        rows.goal_of(group, f"{which}, resumed", f"{which}, never cut", 0.7, "more")


def losses(stage, server, rows):
    """Of random bytes, whose digest client and server compare."""
    group = "away: bytes lost when a connection is cut"
    cuts = stage.count(50, 5)
    path = f"{stage.folder}/random"
    with open(path, "wb") as file:
        for _ in range(3 * cuts):
            file.write(os.urandom(1 << 20))
    cut = Cut(stage, server.tls, 2, cuts, "cat", path)
    done = cuts - int(cut["uncut"][0])
    rows.add(group, f"of {3 * cuts} MiB of random data", cut["lost"][0], "bytes", most=0,
             swing=f"in {done} cuts; the digest is the server's")
    os.unlink(path)


def away_kib(stage, url, server, count, *command):
    """What one run more costs the server that nobody is attached to."""
    with stage.hold(url, 50):
        pass
    before = stages.pss_kib(server.pid)
    crowd = stage.hold(url, count, "--resume", *command)
    crowd.begin()
    with crowd:
        crowd.process.kill()
        crowd.process.wait()
        deadline = time.monotonic() + 20
        found = []
        # Connections close one after another, and what flows fills its window.
        while time.monotonic() < deadline and (len(found) < 4 or max(found[-4:]) - min(found[-4:]) > count):
            time.sleep(0.25)
            found.append(stages.pss_kib(server.pid))
    return (found[-1] - before) / count


def memory(stage, peers, rows):
    del peers
    group = "away: memory of a run that nobody is attached to"
    for name, scheme, count, command in (
            ("silent, TLS", "tls", stage.count(500, 100), ("sleep", "1000")),
            ("its window full, plain", "tcp", stage.count(20, 5), ("head", "-c", "1000000000", "/dev/zero"))):
        found = []
        for _ in range(2):
            with stage.serve() as server:
                found.append(away_kib(stage, getattr(server, scheme), server, count, *command))
        rows.add(group, name, statistics.median(found), "KiB", numbers=found)
    rows.goal_to(group, "silent, TLS", "600 KiB", 600, 1)


def with_server(measure):
    def part(stage, peers, rows):
        del peers
        with stage.serve() as server:
            measure(stage, server, rows)
    return part


PARTS = {"gap": with_server(gaps), "rate": with_server(rates), "lost": with_server(losses), "memory": memory}

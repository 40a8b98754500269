"""Measures of small commands beside bulk: beside."""
import functools
import os
import statistics
import subprocess
import time

import rows as tables
import stage as stages

PACE_MS = 10  # of the commands beside which streams are measured: as many, however fast each of them is

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
        return self

    def moved_by(self, process):
        with open(f"/proc/{process.pid}/io", encoding="utf-8") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(self.counted))

    def moved(self):
        return sum(self.moved_by(process) for process in self.processes)

    def rate_during(self, act):
        """MiB/s of all four."""
        begun, before = time.monotonic(), self.moved()
        act()
        return (self.moved() - before) / (time.monotonic() - begun) / (1 << 20)

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
                    stage.count(200, 60))
             for name, url in (("afar TLS", server.tls), ("afar TLS, no bulk workers", plain.tls))}
    if "ssh mux" in peers.programs:
        words = ["cat >/dev/null"] if into else stream
        found["ssh mux"] = (["program", *peers.programs["ssh mux"]], [*peers.ssh_words, *words], stage.count(30, 10))
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
                    rates.setdefault(f"streams, {name}", []).append(streams_at_work.rate_during(
                        lambda only={name: contestant}: stage.turns(stage.count(100, 20), only, PACE_MS)))
                for each in table:
                    found.setdefault(f"{each}, alone", []).extend(alone[each])
                    found.setdefault(f"{each}, beside", []).extend(busy[each])
    keep = [name for name in found
            if not name.startswith(("local spawn, ssh", "local spawn, afar TLS, no"))]
    rows.times(group, {name.replace("spawn, afar TLS,", "spawn,"): found[name] for name in keep})
    rows.medians(group, rates, "MiB/s", "more")
    rows.goal_of(group, "afar TLS, beside", "afar TLS, alone", 5, key="p99")
    rows.goal_of(group, "streams, afar TLS", "streams, afar TLS, no bulk workers", 0.97, "more")
    mean = {name: statistics.mean(found[f"{name}, beside"]) for name in rivals if name.startswith("afar")}
    rows.goal(group, "afar TLS, beside (per second)", 1 / mean["afar TLS"], "without bulk workers",
              1 / mean["afar TLS, no bulk workers"], 0.97, "more",
              swing=tables.ratios(found["afar TLS, no bulk workers, beside"], found["afar TLS, beside"],
                                  statistics.mean))


PARTS = {"out": functools.partial(beside_one, into=False), "in": functools.partial(beside_one, into=True)}

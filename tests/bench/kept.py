"""Measures of commands that outlive their connections: kept."""
import os
import select
import shutil
import statistics
import subprocess
import tempfile
import time

import files
import stage as stages

MEMORY = "/dev/shm"  # where fsync costs nothing
TREE = 100
TREE_LINE = f"for i in $(seq {TREE - 1}); do setsid sleep 1000 & done; echo up; wait"


class State:
    """A folder for a server's kept jobs: in memory, or on the disk that the bench's own lies on."""

    def __init__(self, stage, in_memory=True):
        self.in_memory = in_memory and os.access(MEMORY, os.W_OK)
        self.top = tempfile.mkdtemp(prefix="afar-bench-", dir=MEMORY if self.in_memory else stage.folder)
        self.arguments = ("--set", f"state_directory={self.top}/state", "--set", "keep_max=100000",
                          "--set", "keep_per_identity=0")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        shutil.rmtree(self.top, ignore_errors=True)


def keepers(server):
    """Of a server, and of what it has left before: by the name that they give themselves."""
    found = []
    for pid in stages.descendants(server.pid):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                if file.read() == "afard-keep\n":
                    found.append(pid)
        except OSError:
            continue
    return found


def end_all(server, everybody):
    """What would outlive its server. Keepers end with their commands; all are children of ours."""
    for pid in everybody:
        try:
            os.kill(pid, 9)
        except OSError:
            continue
    deadline = time.monotonic() + 30
    while stages.descendants(server.pid) and time.monotonic() < deadline:
        time.sleep(0.05)


def await_end(server):
    """Until all keepers of it have ended: so have their commands, and what is left is on disk."""
    deadline = time.monotonic() + 60
    while keepers(server):
        if time.monotonic() > deadline:
            raise RuntimeError("kept commands do not end")
        time.sleep(0.05)


def rate(stage, peers, rows):
    del peers
    size = stage.count(1024, 256) << 20
    with State(stage) as state, stage.serve(arguments=state.arguments) as server:
        place = "in memory" if state.in_memory else "on the disk"
        group = f"kept: stream out, TLS, {size >> 20:,} MiB, state {place}"
        found = {"run": [], "run --keep": []}
        for _ in stage.rounds(12, 3, 9):
            for (name, numbers), more in zip(found.items(), ((), ("--keep",))):
                begun = time.monotonic()
                stages.run(f"{stage.bin}/afar", "run", "-n", *more, server.tls, "--", "head", "-c", str(size),
                           "/dev/zero", stdout=subprocess.DEVNULL)
                numbers.append((size >> 20) / (time.monotonic() - begun))
        rows.medians(group, found, "MiB/s", "more")
        rows.goal_of(group, "run --keep", "run", 0.5, "more")


def start(stage, peers, rows):
    del peers
    group = "kept: until a command runs, on an open connection"
    found = {}
    for name, in_memory in (("without fsync", True), ("with fsync", False)):
        with State(stage, in_memory) as state, stage.serve(arguments=state.arguments) as server:
            found |= stage.turns(stage.count(200, 40), {f"run, state {name}": ["started", server.tls],
                                                        f"kept, {name}": ["kept", server.tls]})
    rows.times(group, found)
    for name, bound in (("without fsync", 1), ("with fsync", None)):
        more = [(kept - run) / 1000 for kept, run in zip(found[f"kept, {name}"], found[f"run, state {name}"])]
        rows.add(group, f"kept above run, {name}", statistics.median(more), "ms", numbers=more)
        rows.goal_to(group, f"kept above run, {name}", "3 ms", 3, bound)


def busy_ms(pids):
    """Of all their threads, since they began."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="utf-8") as file:
                total += int(file.read().split()[0])
    return total / 1e6


def idle(stage, peers, rows):
    """Many that do nothing: their memory, and their share of the processors."""
    del peers
    if os.geteuid() != 0:
        print("left out: kept jobs that do nothing: only root sees the memory of keepers")
        return
    count = stage.count(1000, 100)
    group = f"kept: {count:,} jobs that do nothing"
    with State(stage) as state, stage.serve(arguments=state.arguments) as server:
        empty = files.private_kib(server.pid)
        with stage.hold(server.tls, count, "--keep", "sleep", "1000") as held:
            held.begin()
        everybody = stages.descendants(server.pid)
        try:
            found = [files.private_kib(pid) for pid in keepers(server)]
            if len(found) != count:
                raise RuntimeError(f"{len(found)} keepers instead of {count}")
            rows.add(group, "a keeper, private", statistics.median(found), "KiB", numbers=found)
            rows.add(group, "the server, more for each, private", (files.private_kib(server.pid) - empty) / count,
                     "KiB")
            time.sleep(1)  # what their beginning still costs is over
            shares = []
            for _ in range(stage.count(5, 3)):
                before, begun = busy_ms([server.pid, *everybody]), time.monotonic()
                time.sleep(1)
                shares.append((busy_ms([server.pid, *everybody]) - before) / (time.monotonic() - begun))
            rows.add(group, "processor time of all, in each second", statistics.median(shares), "ms", numbers=shares)
        finally:
            end_all(server, everybody)
    rows.goal_to(group, "a keeper, private", "600 KiB", 600, 1)
    rows.goal_to(group, "processor time of all, in each second", "a thousandth of a processor", 1, 1)


def until_gone(pids, act):
    """Milliseconds from the beginning of `act` until all of them have ended."""
    handles = [os.pidfd_open(pid) for pid in pids]
    poller = select.poll()
    for handle in handles:
        poller.register(handle, select.POLLIN)
    begun = time.monotonic()
    act()
    left = len(handles)
    while left and time.monotonic() - begun < 30:
        for handle, _ in poller.poll(1000):
            poller.unregister(handle)
            left -= 1
    taken = (time.monotonic() - begun) * 1000
    for handle in handles:
        os.close(handle)
    if left:
        raise RuntimeError("a killed tree is not empty after 30 s")
    return taken


def new_tree(server, before):
    """Once all of it is there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        tree = [pid for pid in stages.descendants(server.pid) - before if pid not in keepers(server)]
        if len(tree) == TREE:
            return tree
        time.sleep(0.05)
    raise RuntimeError("a tree of processes does not grow")


def tree(stage, peers, rows):
    """Processes each in a session of its own, so that no signal to a group reaches them all."""
    del peers
    group = f"kept: until a killed tree of {TREE} processes is empty"
    found = {name: [] for name in ("afar rm -f, of a kept one", "afar kill -s KILL, of a kept one",
                                   "its client killed, --reconnect 0", "kill(1), of each")}
    afar = f"{stage.bin}/afar"
    with State(stage) as state, stage.serve(arguments=state.arguments) as server:
        for _ in range(stage.count(5, 2)):
            for name in list(found)[:2]:
                words = name.split(",")[0].split()
                before = stages.descendants(server.pid)
                job = stages.run(afar, "run", "-d", server.tls, "--", "sh", "-c", TREE_LINE).strip()
                found[name].append(until_gone(
                    new_tree(server, before), lambda words=words, job=job: stages.run(
                        afar, *words[1:], server.tls, job)))
            before = stages.descendants(server.pid)
            with subprocess.Popen([afar, "run", "-n", "--reconnect", "0", server.tls, "--", "sh", "-c", TREE_LINE],
                                  stdout=subprocess.DEVNULL, preexec_fn=stages.die_with_us) as client:
                found["its client killed, --reconnect 0"].append(until_gone(new_tree(server, before), client.kill))
            with subprocess.Popen(["sh", "-c", TREE_LINE], stdout=subprocess.PIPE,
                                  preexec_fn=stages.die_with_us) as local:
                local.stdout.readline()
                pids = [local.pid, *stages.descendants(local.pid)]
                found["kill(1), of each"].append(until_gone(
                    pids, lambda pids=pids: stages.run("kill", "-KILL", *map(str, pids))))
        end_all(server, stages.descendants(server.pid))
    rows.medians(group, found, "ms")
    for name in list(found)[:3]:
        rows.goal_of(group, name, "kill(1), of each", None)


PARTS = {"rate": rate, "start": start, "idle": idle, "tree": tree}

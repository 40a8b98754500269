"""System calls and context switches of one command: what the kernel is asked for, whatever the clock says."""
import collections
import os
import re
import shutil
import subprocess

import peers as others
import speed
import stage as stages

# The fewest that could do the job: a server which waits by epoll for a connection and runs `true` with two pipes
# (its input is /dev/null, open since the start), and tells how it ended and what it used.
LEAST_SERVER = {
    "epoll_wait": 2,  # for the request; for the end of what was started
    "read": 1,  # the request
    "pipe2": 2,
    "clone": 1,  # with a pidfd
    "close": 5,  # the child's two ends; ours; the pidfd (each leaves epoll by that)
    "epoll_ctl": 3,  # two pipes and the pidfd
    "read (end of a pipe)": 2,
    "waitid": 1,  # with its usage
    "write": 1,  # the answer: one record
}
LEAST_CHILD = {
    "setsid": 1,  # or its group could not be signalled
    "dup2": 3,
    "close_range": 1,
    "rt_sigprocmask": 1,
    "execve": 1,
}
LEAST_CLIENT = {"write": 1, "poll": 1, "read": 1}
# The client sleeps once. The server sleeps until the request comes, until the child has let go of its memory, and
# until the child has ended.
LEAST_SWITCHES = {"server": 3, "client": 1}

COUNTED, EXACT = "counted over 200 commands", "no noise"

CALL = re.compile(r"^(\d+) +(?:\d+\.\d+ )?([a-z_0-9]+)\(")


class Trace:
    """The calls of a server's threads, of its children until they execute, and of those then, by name."""

    def __init__(self, path, own):
        self.own, self.before_exec, self.command = (collections.Counter() for _ in range(3))
        executed = set()
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                found = CALL.match(line)
                if not found:
                    continue  # an end, a signal, or the second half of a call
                pid, name = found.groups()
                if pid in own:
                    self.own[name] += 1
                elif pid in executed:
                    self.command[name] += 1
                else:
                    self.before_exec[name] += 1
                    if name == "execve" and ("= 0" in line or "unfinished" in line):
                        executed.add(pid)


def threads(pid):
    return os.listdir(f"/proc/{pid}/task")


def switches(pid):
    total = 0
    for task in threads(pid):
        with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8") as file:
            total += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    return total


def attached(pid, tracer):
    """Whether all its threads are traced by then."""
    for task in threads(pid):
        with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8") as file:
            if f"TracerPid:\t{tracer}\n" not in file:
                return False
    return True


def trace_server(stage, which, count):
    """Of `count` commands on one connection."""
    path = f"{stage.folder}/strace"
    with stage.serve(arguments=("--workers", "1")) as server:
        url = getattr(server, which)
        stage.turns(1, {"true": ["connection", url]})
        tracer = subprocess.Popen(["strace", "-f", "-o", path, "-p", str(server.pid)], stderr=subprocess.DEVNULL,
                                  preexec_fn=stages.die_with_us)
        others.until(lambda: attached(server.pid, tracer.pid), tracer)
        own = set(threads(server.pid))
        stage.turns(count, {"true": ["connection", url]})
        stages.stop(tracer)
    return Trace(path, own)


def less(many, few, by):
    """What one costs, by name."""
    return {name: (many[name] - few[name]) / by for name in many if many[name] - few[name] >= by / 20}


def server_calls(stage, which, few=20, many=220):
    """By name, for one warm command: the server's, its child's until it executes, and the command's own."""
    first, second = (trace_server(stage, which, count) for count in (few, many))
    return [less(getattr(second, part), getattr(first, part), many - few)
            for part in ("own", "before_exec", "command")]


def program_calls(stage, *words, **more):
    """Of a whole program and what it starts, by name."""
    path = f"{stage.folder}/strace"
    stages.run("strace", "-f", "-o", path, *words, **more)
    return sum((getattr(Trace(path, set()), part) for part in ("before_exec", "command")), collections.Counter())


def client_calls(stage, which, few=20, many=220):
    with stage.serve() as server:
        table = f"{stage.folder}/client-turns"
        with open(table, "w", encoding="utf-8") as file:
            file.write(f"true\tconnection\t{getattr(server, which)}\n")
        first, second = (program_calls(stage, stage.clock, "turns", str(count), table) for count in (few, many))
    return less(second, first, many - few)


def alone(contestant):
    """A program of clock's, to be run without it: its words and environment. Its folder is emptied."""
    words, environment = contestant[1:], dict(os.environ)
    while "=" in words[0]:
        name, _, value = words[0].partition("=")
        if name == "empty":
            shutil.rmtree(value, ignore_errors=True)
        else:
            environment[name] = value
        words = words[1:]
    return words, environment


def process_switches(contestant, rounds):
    total = 0
    with open(os.devnull, "r+b") as null:
        for _ in range(rounds):
            words, environment = alone(contestant)
            pid = os.posix_spawnp(words[0], words, environment, file_actions=[
                (os.POSIX_SPAWN_DUP2, null.fileno(), fd) for fd in (0, 1, 2)])
            _, status, usage = os.wait4(pid, 0)
            if status != 0:
                raise RuntimeError(f"{words[0]} did not end with status 0")
            total += usage.ru_nvcsw + usage.ru_nivcsw
    return total / rounds


def by_name(counts):
    return ", ".join(f"{name} {count:.3g}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def warm_calls(stage, rows, group):
    for which in ("tcp", "tls"):
        label = which.upper()
        own, before_exec, command = server_calls(stage, which)
        client = client_calls(stage, which)
        for name, counts, least in ((f"afard, {label}", own, LEAST_SERVER),
                                    (f"its child until execve, {label}", before_exec, LEAST_CHILD),
                                    (f"libafar, {label}", client, LEAST_CLIENT)):
            rows.add(group, name, sum(counts.values()), "calls", names=by_name(counts), swing=COUNTED)
            rows.add(group, f"{name}: least", sum(least.values()), "calls", names=by_name(least), swing=EXACT)
        if which == "tls":
            rows.add(group, "the command itself, from then on", sum(command.values()), "calls", swing=COUNTED)


def warm_switches(stage, rows, group, count):
    for which in ("tcp", "tls"):
        with stage.serve() as server:
            table = {"true": ["connection", getattr(server, which)]}
            stage.turns(10, table)
            found = {name: [] for name in (f"afard, {which.upper()}", f"libafar, {which.upper()}")}
            for _ in range(5):
                before = switches(server.pid)
                stage.turns(count // 5, table)
                for numbers, number in zip(found.values(), ((switches(server.pid) - before) / (count // 5 + 1),
                                                            stage.switches / (count // 5))):
                    numbers.append(number)
            rows.medians(group, found, "switches")
    for name, least in LEAST_SWITCHES.items():
        rows.add(group, f"{name}: least", least, "switches", swing=EXACT)


def cold_calls(stage, peers, rows, group):
    """Of the client's process alone."""
    with stage.serve() as server:
        table = speed.limit_contestants(stage, server) | speed.afar_contestants(stage, server)
        table |= {name: ["program", *words] for name, words in peers.programs.items()}
        for name, contestant in table.items():
            stage.turns(1, {name: contestant})  # what is resumed has to be there
            words, environment = alone(contestant)
            rows.add(group, name, sum(program_calls(stage, *words, env=environment).values()), "calls",
                     switches=process_switches(contestant, 10), swing="one process; switches: ten")


def calls(stage, peers, rows):
    group = "one warm true: system calls"
    if others.find("strace"):
        warm_calls(stage, rows, group)
    else:
        print("left out: system calls: strace is not installed (make deps-bench)")
    warm_switches(stage, rows, "one warm true: context switches", stage.count(1000, 200))
    if others.find("strace"):
        cold_calls(stage, peers, rows, "one whole client process: system calls")

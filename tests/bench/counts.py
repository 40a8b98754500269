#!/usr/bin/env python3
"""make bench-counts: what one command costs by counts that do not depend on the clock, so that CI sees when it
gets more: instructions under callgrind, and system calls. Compares with counts.txt beside this file; fails where
one is more than its margin above.
Usage: counts.py BUILD [--write]   --write: make counts.txt anew"""
import os
import re
import signal
import statistics
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import calls  # noqa: E402
import peers as others  # noqa: E402
import speed  # noqa: E402
import stage as stages  # noqa: E402

FILE = os.path.join(stages.HERE, "counts.txt")
FEW, MANY = 20, 120  # commands: the difference has neither start nor end in it
MARGIN = 1.10
CALLS_BY_CHANCE = 2  # two answers may come by one read or by two
# A full handshake is mostly arithmetic, for which OpenSSL has other code on other processors.
MARGIN_OF_HANDSHAKE = 1.30
HEAD = """# What one command costs, for `make bench-counts`; made by `make bench-counts COUNTS=--write`.
# Warm: a command on an open connection, as the difference of many and few. A process: all of it.
"""


# ---- instructions ----

def collected(text):
    found = re.search(r"Collected : (\d+)", text)
    if not found:
        raise RuntimeError(f"callgrind has counted nothing: {text[-500:]}")
    return int(found[1])


def callgrind(stage, *words):
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={stage.folder}/callgrind.%p", *words]


def server_instructions(stage, preload, which, count):
    """Of a whole server that runs so many commands."""
    log = f"{stage.folder}/valgrind"
    with open(log, "w", encoding="utf-8") as file:
        with stage.serve(*callgrind(stage), arguments=("--workers", "1"), stderr=file,
                         env={**os.environ, "LD_PRELOAD": preload}) as server:
            stage.turns(count, {"true": ["connection", getattr(server, which)]})
    with open(log, encoding="utf-8") as file:
        return collected(file.read())


def client_instructions(stage, server, which, count):
    path = f"{stage.folder}/client-turns"
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"true\tconnection\t{getattr(server, which)}\n")
    return program_instructions(stage, ["program", stage.clock, "turns", str(count), path])


def program_instructions(stage, contestant):
    words, environment = calls.alone(contestant)
    log = f"{stage.folder}/valgrind"
    stages.run(*callgrind(stage, f"--log-file={log}"), *words, env=environment)
    with open(log, encoding="utf-8") as file:
        return collected(file.read())


def difference(count):
    return (count(MANY) - count(FEW)) / (MANY - FEW)


# ---- all of them ----

def programs(stage, server):
    """Of the dynamic client, by name; what is resumed is there."""
    for name, contestant in speed.afar_contestants(stage, server).items():
        if name.startswith("afar,"):
            stage.turns(1, {name: contestant})
            yield f"afar process, {name[6:]}", contestant


def instructions(stage, preload):
    found = {}
    with stage.serve() as server:
        for which in ("tcp", "tls"):
            found[f"instructions: afard, warm, {which}"] = difference(
                lambda count, which=which: server_instructions(stage, preload, which, count))
            found[f"instructions: libafar, warm, {which}"] = difference(
                lambda count, which=which: client_instructions(stage, server, which, count))
        for name, contestant in programs(stage, server):
            found[f"instructions: {name}"] = program_instructions(stage, contestant)
    return found


def system_calls(stage):
    found = {}
    for which in ("tcp", "tls"):
        own, before_exec, _ = calls.server_calls(stage, which, FEW, MANY)
        found[f"calls: afard, warm, {which}"] = sum(own.values())
        found[f"calls: its child until execve, {which}"] = sum(before_exec.values())
        found[f"calls: libafar, warm, {which}"] = statistics.median(
            sum(calls.client_calls(stage, which, FEW, MANY).values()) for _ in range(3))
    with stage.serve() as server:
        for name, contestant in programs(stage, server):
            words, environment = calls.alone(contestant)
            found[f"calls: {name}"] = sum(calls.program_calls(stage, *words, env=environment).values())
    return found


# ---- the file ----

def read():
    known = {}
    with open(FILE, encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                known[name.strip()] = float(value)
    return known


def write(found):
    with open(FILE, "w", encoding="utf-8") as file:
        file.write(HEAD)
        for name, value in found.items():
            file.write(f"{name:48} {value:10.0f}\n")


def margin(name):
    return MARGIN_OF_HANDSHAKE if "first contact" in name and name.startswith("instructions") else MARGIN


def compare(found):
    """The names of those that are above."""
    known = read()
    above = []
    for name, value in found.items():
        was, chance = known.get(name, 0), CALLS_BY_CHANCE if name.startswith("calls") else 0
        bound = was * margin(name) + chance
        verdict = "ok"
        if value > bound:
            verdict = f"ABOVE {bound:,.0f}"
            above.append(name)
        elif value < was / margin(name) - chance:
            verdict = "less: make bench-counts COUNTS=--write"
        print(f"{name:48} {value:12,.0f} was {was:12,.0f}  {verdict}")
    return above


def main(build, *words):
    missing = [program for program in ("valgrind", "strace") if not others.find(program)]
    if missing:
        sys.exit(f"bench-counts: {', '.join(missing)} not installed (make deps-bench-counts)")
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit("bench-counts: ended"))
    stage = stages.Stage(build, True)
    try:
        found = instructions(stage, f"{build}/tests/bench/fork_for_valgrind.so") | system_calls(stage)
    except RuntimeError as failure:
        sys.exit(f"bench-counts: {failure}")
    finally:
        stage.close()
    if "--write" in words:
        write(found)
    above = compare(found)
    if above:
        sys.exit(f"bench-counts: {len(above)} above the margin")


main(*sys.argv[1:])

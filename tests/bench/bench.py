#!/usr/bin/env python3
"""make bench: Afar beside what a user would pick instead, and beside what the machine can do at best, in one run
on one machine. Prints a table, writes build/bench.json and build/bench.svg.
Usage: bench.py BUILD [--quick] [MEASURE[.PART]...]   (--list: which there are)"""
import os
import platform
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import away  # noqa: E402
import beside  # noqa: E402
import calls  # noqa: E402
import chart  # noqa: E402
import engines  # noqa: E402
import files  # noqa: E402
import footprint  # noqa: E402
import kept  # noqa: E402
import peers as others  # noqa: E402
import rows as tables  # noqa: E402
import speed  # noqa: E402
import stage as stages  # noqa: E402
import streams  # noqa: E402
import terminal  # noqa: E402
import trips  # noqa: E402

# By name: what measures it, alone or in parts by name.
MEASURES = {"cold": speed.cold, "trips": trips.trips, "warm": speed.warm, "rate": speed.rate,
            "streams": streams.STREAMS, "far": streams.FAR, "beside": beside.PARTS, "terminal": terminal.PARTS,
            "files": files.PARTS, "away": away.PARTS, "kept": kept.PARTS, "memory": footprint.memory,
            "start": footprint.start, "growth": footprint.GROWTH, "calls": calls.calls, "engines": engines.PARTS}
PARTS = {name: list(parts) if isinstance(parts, dict) else [] for name, parts in MEASURES.items()}
NOTES = """ssh, dbclient and check_nrpe have their servers run the command by a shell (dash), afard and socat do not.
ssh mux: over a connection that is open (ControlMaster), a client process for each command.
first contact: no session is kept from before; resumed: one is; shared: afar share has a connection.
 static: make static, of the same source.
Ratios are of medians. In brackets: quartiles, and of how many; behind a ratio, those of the ratios of what was taken
 in turns.
once: it was measured once. Where a bound lies between the quartiles, another run may say the other thing."""
LIMIT_S = 720


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(": ")[1].strip() for line in file if line.startswith("model name")), "?")
    return {"cores": stages.CORES, "cpu": model, "kernel": platform.release(),
            "openssl": stages.run("openssl", "version").split()[1], "load": f"{os.getloadavg()[0]:.2f}",
            "date": time.strftime("%Y-%m-%d")}


def measure(stage, wanted, about):
    """Whether all could be measured; what fails does not stop what follows."""
    rows = tables.Rows()
    whole, took = True, dict.fromkeys((name for name, _ in wanted), 0)
    with others.Peers(stage.folder, stage.certs) as peers:
        if not stage.has_static():
            print("left out: the static programs (make static)")
        for line in peers.missing:
            print(f"left out: {line}")
        for name, part in wanted:
            first, begun = len(rows.all), time.monotonic()
            try:
                (MEASURES[name][part] if part else MEASURES[name])(stage, peers, rows)
            except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as failure:
                print(f"\n{name} {part}: FAILED: {failure}")
                whole = False
            rows.show(first)
            took[name] += time.monotonic() - begun
            print(f"    ({'.'.join(filter(None, (name, part)))}: {time.monotonic() - begun:.0f} s)", flush=True)
    build = f"{stages.ROOT}/build"
    rows.write(f"{build}/bench.json", about, stage.quick)
    chart.write(f"{build}/bench.svg", about, rows.all)
    goals = sum("met" in row for row in rows.all)
    print("\n" + ", ".join(f"{name} {s:.0f} s" for name, s in took.items()) +
          f"; {sum(took.values()):.0f} s in all, of {LIMIT_S} at most")
    print(f"{goals} goals, {len(rows.missed())} NOT MET; build/bench.json, build/bench.svg")
    return whole


def chosen(words):
    """Pairs of a measure and one of its parts, which is empty where there are none."""
    found = []
    for word in words or MEASURES:
        name, _, part = word.partition(".")
        if name not in MEASURES or part and part not in PARTS[name]:
            sys.exit(f"bench: there is no {word}; there are:\n{listed()}")
        found += [(name, each) for each in ([part] if part else PARTS[name] or [""])]
    return found


def listed():
    return "\n".join(" ".join([name, *(f"{name}.{part}" for part in parts)]) for name, parts in PARTS.items())


def main(build, *words):
    if "--list" in words:
        print(listed())
        return
    quick = "--quick" in words
    wanted = chosen([word for word in words if word != "--quick"])
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit("bench: ended"))
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print(NOTES)
    stage = stages.Stage(build, quick)
    try:
        whole = measure(stage, wanted, about)
    finally:
        stage.close()
    sys.exit(0 if whole else 1)


main(*sys.argv[1:])

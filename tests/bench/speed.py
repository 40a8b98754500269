"""Measures of time: cold, warm, rate."""
import stage as stages

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
        rows.times(group, stage.turns(stage.count(60, 20), table))
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
            rows.goal_to(group, name, "the limit, true and hello", limits[kind])


# ---- an open connection ----

def warm(stage, peers, rows):
    group = "warm: true on an open connection, in process, one at a time"
    with stage.serve() as server:
        rows.times(group, stage.turns(stage.count(2000, 400), {
            "local spawn": ["spawn"], "afar TCP": ["connection", server.tcp], "afar TLS": ["connection", server.tls]}))
        if "ssh mux" in peers.programs:
            rows.times(group, {"ssh mux (a process each)": stage.turns(
                stage.count(100, 20), {"mux": ["program", *peers.programs["ssh mux"]]})["mux"]})
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
                found[name].append(stage.rate(1, count, *words))
    rows.medians(group, found, "/s", "more")
    for name in ("afar TCP, 64 connections", "afar TLS, 64 connections"):
        rows.goal_of(group, name, "local spawn, on all cores", 0.8, "more")

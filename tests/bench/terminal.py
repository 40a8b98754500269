"""Measures of terminals: keys, whole processes, output, and a screen that is come back to. Each client has a terminal
of its own here, as a user's has."""
import fcntl
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

import beside
import peers as others
import stage as stages
import trips

ROWS, COLS = 24, 80
DEADLINE_S = 30
ECHO = "stty raw -echo; printf ready; exec cat"
SEQ = "seq 1000000"
SEQ_BYTES = 6888896 + 1000000  # a terminal writes CR before each LF


class Terminal:
    """A program on a terminal, from its start until close(). Words as the clock's: VARIABLE=VALUE... PROGRAM..."""

    def __init__(self, *words, rows=ROWS, cols=COLS):
        own, words = trips.environment(list(words))
        own.setdefault("TERM", "xterm")
        self.words, self.seen, self.status = words, b"", None
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
        name = os.ttyname(slave)
        os.set_blocking(self.master, False)
        self.poller = select.poll()
        self.poller.register(self.master, select.POLLIN)
        path = others.find(words[0])
        self.begun = time.monotonic()
        self.pid = os.posix_spawn(path, words, own, setsid=True, file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, name, os.O_RDWR, 0), (os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)])
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def taken_ms(self):
        return (time.monotonic() - self.begun) * 1000

    def fail(self, what):
        raise RuntimeError(f"{' '.join(self.words[:3])}: {what}: {self.seen[-300:]!r}")

    def read(self):
        if not self.poller.poll(DEADLINE_S * 1000):
            self.fail("no answer")
        try:
            return os.read(self.master, 1 << 16)
        except OSError:
            return b""  # nobody has the other end

    def expect(self, text):
        """Milliseconds from its start until it has shown that."""
        while text not in self.seen:
            data = self.read()
            if not data:
                self.fail("it has ended")
            self.seen += data
        return self.taken_ms()

    def key(self):
        """Milliseconds from a key to its echo."""
        begun = time.monotonic()
        os.write(self.master, b"x")
        if self.read() != b"x":
            self.fail("no echo")
        return (time.monotonic() - begun) * 1000

    def end(self):
        """Milliseconds from its start until it has ended, by itself and with status 0."""
        while True:
            data = self.read()
            if not data:
                break
            self.seen += data
        self.status = os.waitpid(self.pid, 0)[1]
        taken = self.taken_ms()
        if self.status != 0:
            self.fail("did not end with status 0")
        return taken

    def close(self):
        """As a window is closed: whoever still runs gets SIGHUP."""
        os.close(self.master)
        if self.status is None:
            os.kill(self.pid, signal.SIGHUP)
            self.status = os.waitpid(self.pid, 0)[1]


def mux_words(peers, *command):
    """Of ssh on a terminal over a connection that is open; empty where there is none."""
    words = peers.programs.get("ssh mux")
    return [*words[:1], "-tt", *words[1:-1], *command] if words else []


# ---- from a key to its echo ----

def echo_table(stage, server, peers):
    """Words by name."""
    found = {"local terminal": ["sh", "-c", ECHO],
             "afar TLS": [f"{stage.bin}/afar", "run", "-t", server.tls, "--", "sh", "-c", ECHO]}
    if "ssh mux" in peers.programs:
        found["ssh mux"] = mux_words(peers, ECHO)
    return found


def keys(table, rounds, found, more=""):
    """In turns, into lists of microseconds by name."""
    sessions = {name: Terminal(*words) for name, words in table.items()}
    try:
        for session in sessions.values():
            session.expect(b"ready")
            session.key()
        for _ in range(rounds):
            for name, session in sessions.items():
                found.setdefault(name + more, []).append(session.key() * 1000)
    finally:
        for session in sessions.values():
            session.close()


def echo(stage, peers, rows):
    group = "terminal: from a key to its echo, by cat"
    found = {}
    with stage.serve() as server:
        keys(echo_table(stage, server, peers), stage.count(2000, 300), found)
    rows.times(group, found)
    rows.goal_of(group, "afar TLS", "ssh mux", 0.8)
    rows.goal_of(group, "afar TLS", "ssh mux", 1.0, key="p99")


def echo_beside(stage, peers, rows):
    """Each beside streams of its own kind."""
    group = "terminal: from a key to its echo, beside 4 streams out at full speed"
    stream = ["head", "-c", "1000000000000", "/dev/zero"]
    found = {}
    with stage.serve() as server:
        flows = {"afar TLS": [f"{stage.bin}/afar", "run", "-n", server.tls, "--", *stream]}
        if peers.ssh_words:
            flows["ssh mux"] = [*peers.ssh_words, *stream]
        table = echo_table(stage, server, peers)
        for _ in range(stage.count(4, 2)):
            for name, words in flows.items():
                with beside.Streams(*words):
                    keys({name: table[name]}, stage.count(200, 60), found)
    rows.times(group, found)
    rows.goal_of(group, "afar TLS", "ssh mux", 0.5, key="p99")


# ---- true on a terminal ----

def container(stage):
    """One in which there are true and sleep, and nothing else; None where podman cannot."""
    root = f"{stage.folder}/root"
    for program in map(others.find, ("true", "sleep")):
        for path in [program, *(word for word in stages.run("ldd", program).split() if word.startswith("/"))]:
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            shutil.copy(path, root + path)
    if not others.find("podman"):
        return None
    made = subprocess.run(["podman", "run", "-d", "-q", "--network=none", "--ulimit=nofile=1024:1024",
                           "--ulimit=nproc=1024:1024", "--rootfs", root, others.find("sleep"), "1000"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return made.stdout.split()[-1] if made.returncode == 0 else None


def whole(stage, peers, rows):
    group = "terminal: one whole client process that runs true"
    found, name = {}, container(stage)
    if name is None:
        print("left out: podman exec -it: podman is not there, or does not work here")
    try:
        with stage.serve() as server:
            table = {"true, by itself": ["true"]}
            for label, folder in (("afar run -t, resumed", stage.bin), ("afar static run -t, resumed", stage.static)):
                if os.path.exists(f"{folder}/afar"):
                    sessions = f"AFAR_SESSIONS={stage.folder}/sessions-terminal"
                    table[label] = [sessions, f"{folder}/afar", "run", "-t", server.tls, "--", "/bin/true"]
            if "ssh mux" in peers.programs:
                table["ssh -tt, mux"] = mux_words(peers, "true")
            if name:
                table["podman exec -it"] = ["podman", "exec", "-it", name, others.find("true")]
            for turn in range(stage.count(60, 20) + 1):
                for each, words in table.items():
                    with Terminal(*words) as session:
                        taken = session.end()
                    if turn > 0:  # the first has no session to resume
                        found.setdefault(each, []).append(taken * 1000)
    finally:
        if name:
            stages.run("podman", "rm", "-f", "-t", "0", name)
    rows.times(group, found)
    for each in ("afar run -t, resumed", "afar static run -t, resumed"):
        rows.goal_of(group, each, "ssh -tt, mux", 0.7)
        rows.goal_of(group, each, "podman exec -it", 0.2)


def warm(stage, peers, rows):
    del peers
    group = "terminal: true on an open connection, in process, with and without one"
    with stage.serve() as server:
        rows.times(group, stage.turns(stage.count(1000, 200), {
            f"afar {which.upper()}, {label}": [kind, getattr(server, which)]
            for which in ("tcp", "tls") for label, kind in (("without", "connection"), ("with", "terminal"))}))
    for which in ("TCP", "TLS"):
        rows.goal_of(group, f"afar {which}, with", f"afar {which}, without", 1.25)


# ---- output ----

def output_size(line):
    with Terminal("bash", "-c", f"set -o pipefail; {line} | wc -c") as session:
        session.end()
    return int(re.findall(rb"\d+", session.seen)[-1])


def output(stage, peers, rows):
    """Each on a terminal whose modes it hands on, but what comes is not shown: no terminal here is that fast."""
    group = f"terminal: output of {SEQ}"
    with stage.serve() as server:
        lines = {"afar run -t, TLS": f"{stage.bin}/afar run -t {server.tls} -- {SEQ}"}
        if others.find("script"):
            lines["script, local"] = f"script -qec '{SEQ}' /dev/null"
        if "ssh mux" in peers.programs:
            lines["ssh -tt, mux"] = f"{' '.join(mux_words(peers))} '{SEQ}' 2>/dev/null"
        found = {name: [] for name in lines}
        for name, line in lines.items():
            if output_size(line) != SEQ_BYTES:
                raise RuntimeError(f"{name}: {output_size(line):,} bytes instead of {SEQ_BYTES:,}")
        for _ in stage.rounds(15, 5, 15):
            for name, line in lines.items():
                with Terminal("bash", "-c", f"{line} >/dev/null") as session:
                    found[name].append(SEQ_BYTES / (1 << 20) / session.end() * 1000)
    rows.medians(group, found, "MiB/s", "more")
    rows.goal_of(group, "afar run -t, TLS", "ssh -tt, mux", 1.1, "more")
    rows.goal_of(group, "afar run -t, TLS", "script, local", 0.9, "more")


# ---- a screen that is come back to ----

def screens(words, rounds, hidden):
    """Milliseconds until a client that comes back has the whole screen. Each time it is one line longer, so that the
    last is newly drawn. `hidden`: lines that are not the program's text."""
    found = []
    for turn in range(rounds):
        rows = ROWS + 1 + turn
        with Terminal(*words, rows=rows) as session:
            found.append(session.expect(f"line {rows - hidden}.".encode()))
    return found


def attach(stage, peers, rows):
    group = "terminal: from the start of a client that comes back to vim to its whole screen"
    if not others.find("vim"):
        print("left out: vim is not installed (make deps-bench)")
        return
    path, rounds = f"{stage.folder}/lines", stage.count(20, 5)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"line {number}.\n" for number in range(1, 200))
    vim = ["vim", "-u", "NONE", "-i", "NONE", "-n", path]
    afar, state = f"{stage.bin}/afar", f"state_directory={stage.folder}/terminals"
    with stage.serve(arguments=("--set", state)) as server:
        with Terminal(afar, "run", "-t", "--once", "vim", server.tls, "--", *vim) as session:
            session.expect(f"line {ROWS - 1}.".encode())
        try:
            found = {"afar attach, TLS": screens([afar, "attach", server.tls, "once:vim"], rounds, 1)}
        finally:
            stages.run(afar, "rm", "-f", server.tls, "once:vim")
    if "ssh mux" in peers.programs and others.find("tmux"):
        ssh, tmux = peers.programs["ssh mux"][:-1], "tmux -L bench"
        stages.run(*ssh, f"{tmux} -f /dev/null new -d -x {COLS} -y {ROWS} '{' '.join(vim)}'")
        try:
            found["tmux attach, ssh -tt mux"] = screens(mux_words(peers, f"{tmux} attach"), rounds, 2)
        finally:
            stages.run(*ssh, f"{tmux} kill-server")
    rows.times(group, {name: [ms * 1000 for ms in each] for name, each in found.items()})
    rows.goal_to(group, "afar attach, TLS", "300 ms", 300, 1)


PARTS = {"echo": echo, "beside": echo_beside, "whole": whole, "warm": warm, "output": output, "attach": attach}

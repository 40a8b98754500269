#!/usr/bin/env python3
"""make bench: Afar beside what a user would pick instead, and beside the physical limit, in one run on one
machine. Prints a table, writes build/bench.json and build/bench.svg.
Usage: bench.py BUILD [--quick] [MEASURE...]   MEASUREs: cold warm rate streams beside memory start growth calls"""
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chart  # noqa: E402
import peers  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MEASURES = ["cold", "warm", "rate", "streams", "beside", "memory", "start", "growth", "calls"]
CORES = os.cpu_count()


def command(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words[:3])}…: status {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


class Afard:
    """A server of ours."""

    def __init__(self, folder, certs, *more, program=None):
        self.process = subprocess.Popen(
            [program or f"{folder}/afard", "--listen", "tls://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0",
             "--tls-cert", f"{certs}/server.pem", "--tls-key", f"{certs}/server-key.pem", "--tls-client-ca",
             f"{certs}/ca.pem", "--print-endpoints", "--log-level", "error",
             "--set", "max_connections=20000", "--set", "max_connections_per_address=0", "--set",
             "max_jobs_per_identity=0", "--set", "max_unauthenticated=4096", *more],
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        self.tls, self.tcp = (self.process.stdout.readline().split()[1] for _ in range(2))
        self.pid = self.process.pid

    def close(self):
        self.process.terminate()
        self.process.wait()


def pss_kib(pid):
    """Proportional set size of a process."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


class Bench:
    def __init__(self, build, quick):
        self.build, self.quick = build, quick
        self.rows = []
        self.folder = tempfile.mkdtemp(prefix="afar-bench-")
        self.certs = f"{self.folder}/certs"
        command("sh", f"{ROOT}/certs/make-certs", self.certs, "--quiet")
        self.bin = f"{build}/bin"
        self.static = f"{ROOT}/build/static/bin"
        self.clock = f"{build}/tests/bench/clock"
        os.environ.update(AFAR_CA=f"{self.certs}/ca.pem", AFAR_CERT=f"{self.certs}/client.pem",
                          AFAR_KEY=f"{self.certs}/client-key.pem", AFAR_SESSIONS="")
        self.server = Afard(self.bin, self.certs)
        self.peers = peers.Peers(self.folder, self.certs)
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

    def close(self):
        self.peers.close()
        self.server.close()
        command("rm", "-rf", self.folder)

    # ---- what a row is ----

    def row(self, group, name, value, unit, p99=None, better="less"):
        self.rows.append({"group": group, "name": name, "value": value, "unit": unit, "p99": p99, "better": better})

    def value(self, group, name):
        return next((row["value"] for row in self.rows if (row["group"], row["name"]) == (group, name)), None)

    def goal(self, group, name, of, value, base, bound, better="less"):
        """`value` is to be at most (or at least) `bound` times `base`."""
        if value is None or base is None or not base:
            return
        ratio = value / base
        met = ratio <= bound if better == "less" else ratio >= bound
        self.rows.append({"group": group, "name": name, "goal": of, "ratio": ratio, "bound": bound, "better": better,
                          "met": met})

    def samples(self, *words, env=None):
        """"NAME number" lines of clock, by name."""
        found = {}
        for line in command(self.clock, *words, env={**os.environ, **(env or {})}).splitlines():
            name, number = line.rsplit(" ", 1)
            found.setdefault(name, []).append(float(number))
        return found

    def times(self, group, found):
        """Rows of microseconds, as milliseconds."""
        for name, numbers in found.items():
            numbers.sort()
            self.row(group, name, statistics.median(numbers) / 1000, "ms", numbers[int(len(numbers) * 0.99)] / 1000)

    # ---- measures ----

    def cold(self):
        group = "cold: one whole client process, true"
        url, tcp = self.server.tls, self.server.tcp
        sessions = f"{self.folder}/sessions"
        table = {"true (exec)": ["/bin/true"],
                 "hello (TLS, static)": [f"{self.build}/tests/bench/hello", url.rsplit(":", 1)[1],
                                         *(os.environ[name] for name in ("AFAR_CA", "AFAR_CERT", "AFAR_KEY"))],
                 "afar full": [f"{self.bin}/afar", "run", url, "--", "true"],
                 "afar resumed": ["env", f"AFAR_SESSIONS={sessions}", f"{self.bin}/afar", "run", url, "--", "true"],
                 "afar TCP": [f"{self.bin}/afar", "run", tcp, "--", "true"], **self.peers.cold}
        if os.path.exists(f"{self.static}/afar"):
            table |= {"afar static full": [f"{self.static}/afar", "run", url, "--", "true"],
                      "afar static resumed": [f"{self.folder}/resume", "run", url, "--", "true"],
                      "afar static TCP": [f"{self.static}/afar", "run", tcp, "--", "true"]}
        # `env` would be measured as well: instead the client finds its sessions by itself.
        del table["afar resumed"]
        table.pop("afar static resumed", None)
        found = self.programs(table, 20 if self.quick else 100)
        resumed = {"afar resumed": [f"{self.bin}/afar", "run", url, "--", "true"]}
        if "afar static full" in table:
            resumed["afar static resumed"] = [f"{self.static}/afar", "run", url, "--", "true"]
        if "ssh warm mux" in table:
            resumed["ssh warm mux"] = table["ssh warm mux"]
        again = self.programs(resumed, 20 if self.quick else 200, {"AFAR_SESSIONS": sessions})
        found["ssh warm mux"] = found.get("ssh warm mux", []) + again.pop("ssh warm mux", [])
        found |= again
        self.times(group, {name: numbers for name, numbers in found.items() if numbers})
        best = "afar static" if "afar static full" in table else "afar"
        mux = self.value(group, "ssh warm mux")
        cold = [self.value(group, name) for name in ("ssh cold", "dbclient cold", "socat TLS", "check_nrpe")]
        fastest = min((value for value in cold if value), default=None)
        limit = self.value(group, "true (exec)") + self.value(group, "hello (TLS, static)")
        self.goal(group, f"{best} full", "warm ssh", self.value(group, f"{best} full"), mux, 1.0)
        self.goal(group, f"{best} full", "the fastest cold peer", self.value(group, f"{best} full"), fastest, 0.35)
        self.goal(group, f"{best} full", "the limit: true + hello", self.value(group, f"{best} full"), limit, 1.0)
        self.goal(group, f"{best} resumed", "warm ssh", self.value(group, f"{best} resumed"), mux, 0.6)

    def programs(self, table, rounds, env=None):
        path = f"{self.folder}/programs"
        with open(path, "w", encoding="utf-8") as file:
            for name, words in table.items():
                file.write("\t".join([name, *words]) + "\n")
        return self.samples("programs", str(rounds), path, env=env)

    def warm(self):
        group = "warm: true on an open connection"
        found = self.samples("warm", "300" if self.quick else "3000", self.server.tcp, self.server.tls)
        self.times(group, {{"local": "local spawn", "tcp": "afar TCP", "tls": "afar TLS"}[name]: numbers
                           for name, numbers in found.items()})
        local = self.value(group, "local spawn")
        self.goal(group, "afar TCP", "local spawn", self.value(group, "afar TCP"), local, 1.25)
        self.goal(group, "afar TLS", "local spawn", self.value(group, "afar TLS"), local, 1.35)

    def rate(self):
        group = "commands per second, saturated"
        seconds = "2" if self.quick else "8"
        found = {"local spawn, all cores": ("local", str(CORES)), "afar TCP, 64 at once": (self.server.tcp, "64"),
                 "afar TLS, 64 at once": (self.server.tls, "64")}
        numbers = {name: [] for name in found}
        for _ in range(1 if self.quick else 3):
            for name, words in found.items():
                numbers[name].append(self.samples("rate", seconds, *words)["rate"][0])
        for name, each in numbers.items():
            self.row(group, name, statistics.median(each), "/s", better="more")
        if self.peers.mux:
            for count in (8, 64):
                self.row(group, f"ssh mux, {count} at once", self.ssh_rate(count, float(seconds)), "/s", better="more")
        local = self.value(group, "local spawn, all cores")
        for name in ("afar TCP, 64 at once", "afar TLS, 64 at once"):
            self.goal(group, name, "local spawn", self.value(group, name), local, 0.8, "more")

    def ssh_rate(self, count, seconds):
        """`count` loops of ssh over the one connection."""
        words = " ".join(self.peers.cold["ssh warm mux"])
        loop = f"n=0; while :; do {words} </dev/null || exit 1; n=$((n+1)); echo; done"
        begun = time.monotonic()
        loops = [subprocess.Popen(["timeout", str(seconds), "sh", "-c", loop], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL) for _ in range(count)]
        done = sum(len(each.communicate()[0]) for each in loops)
        return done / (time.monotonic() - begun)

    def streams(self):
        size = (256 if self.quick else 4096) << 20
        afar = f"{self.bin}/afar"
        table = {"local pipe": (f"head -c {size} /dev/zero | cat >/dev/null",) * 2}
        for name, url in (("afar TLS", self.server.tls), ("afar plain", self.server.tcp)):
            table[name] = (f"{afar} run {url} -- head -c {size} /dev/zero >/dev/null",
                           f"head -c {size} /dev/zero | {afar} run {url} -- sh -c 'cat >/dev/null'")
        table |= self.peers.stream_lines(size) | self.peers.socat_streams(size)
        for which, group in enumerate(("stream out", "stream in")):
            speeds = {name: [] for name in table}
            for _ in range(1 if self.quick else 3):
                for name, lines in table.items():
                    begun = time.monotonic()
                    command("bash", "-c", "set -o pipefail; " + lines[which])
                    speeds[name].append((size >> 20) / (time.monotonic() - begun))
            for name, each in speeds.items():
                self.row(group, name, statistics.median(each), "MiB/s", better="more")
            ssh = max((self.value(group, name) for name in table if name.startswith("ssh")), default=None)
            tls, plain, pipe = (self.value(group, name) for name in ("afar TLS", "afar plain", "local pipe"))
            self.goal(group, "afar TLS", "ssh, fastest cipher", tls, ssh, 1.4, "more")
            self.goal(group, "afar TLS", "local pipe", tls, pipe, 0.75, "more")
            self.goal(group, "afar plain", "socat plain", plain, self.value(group, "socat plain"), 1.3, "more")
            self.goal(group, "afar plain", "local pipe", plain, pipe, 0.9, "more")

    def beside(self):
        group = "true beside 4 streams at full speed"
        rounds = "200" if self.quick else "1000"
        alone = self.samples("warm", rounds, self.server.tls)["tls"]
        words = [f"{self.bin}/afar", "run", self.server.tls, "--", "head", "-c", "1000000000000", "/dev/zero"]
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            streams = [subprocess.Popen(words, stdout=nowhere, stderr=nowhere) for _ in range(4)]
            try:
                time.sleep(0.5)
                busy = self.samples("warm", rounds, self.server.tls)
            finally:
                for stream in streams:
                    stream.kill()
                    stream.wait()
        self.times(group, {"afar TLS, alone": alone, "afar TLS, beside them": busy["tls"],
                           "local spawn, beside them": busy["local"]})
        p99 = {row["name"]: row["p99"] for row in self.rows if row["group"] == group}
        self.goal(group, "p99 beside them", "p99 alone", p99["afar TLS, beside them"], p99["afar TLS, alone"], 3)

    def held(self, url, count, *words):
        process = subprocess.Popen([self.clock, "hold", url, str(count), *words], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        if process.stdout.readline() != "held\n":
            raise RuntimeError("the connections could not be opened")
        return process

    def memory(self):
        group = "memory"
        server = Afard(self.bin, self.certs)
        try:
            count = 200 if self.quick else 2000
            warmup = self.held(server.tls, 50)
            before = pss_kib(server.pid)
            idle = self.held(server.tls, count)
            self.row(group, "afard, per idle TLS connection", (pss_kib(server.pid) - before) / count, "KiB")
            idle.communicate("")
            before = pss_kib(server.pid)
            jobs = self.held(server.tls, 200, "/bin/sleep", "1000")
            self.row(group, "afard, per running job and its connection", (pss_kib(server.pid) - before) / 200, "KiB")
            jobs.communicate("")
            warmup.communicate("")
        finally:
            server.close()
        if "ssh" in self.peers.ports:
            self.row(group, "sshd, per idle connection", self.sshd_kib(), "KiB")
            self.goal(group, "idle connection", "sshd's", self.value(group, "afard, per idle TLS connection"),
                      self.value(group, "sshd, per idle connection"), 0.012)
        self.goal(group, "running job", "64 KiB", self.value(group, "afard, per running job and its connection"), 64, 1)

    def sshd_kib(self):
        def total():
            pids = command("pgrep", "-f", "^sshd: " + self.peers.user, env=os.environ) if count else ""
            return sum(pss_kib(pid) for pid in pids.split())
        count = 10
        words = [*self.peers.base[:1], "-N", *self.peers.base[1:]]
        before = total()
        idle = [subprocess.Popen(words, stdin=subprocess.DEVNULL) for _ in range(count)]
        try:
            time.sleep(3)
            return (total() - before) / count
        finally:
            for each in idle:
                each.terminate()
                each.wait()

    def start(self):
        group = "server start to first answer; size"
        numbers = {"afard": [], "afard static": [], "sshd": [], "dropbear": []}
        for _ in range(3 if self.quick else 20):
            for name, folder in (("afard", self.bin), ("afard static", self.static)):
                if os.path.exists(f"{folder}/afard"):
                    begun = time.monotonic()
                    server = Afard(folder, self.certs)
                    command(f"{self.bin}/afar", "ping", server.tcp)
                    numbers[name].append((time.monotonic() - begun) * 1e6)
                    server.close()
        for name, words in (("sshd", ["/usr/sbin/sshd", "-D", "-f", f"{self.folder}/sshd_config2"]),
                            ("dropbear", ["/usr/sbin/dropbear", "-F", "-r", f"{self.folder}/db_host", "-P",
                                          f"{self.folder}/db2.pid", "-p", "127.0.0.1:{}"])):
            for _ in range(2 if self.quick else 10):
                if name not in self.peers.ports or not os.path.exists(words[0]):
                    break
                numbers[name].append(self.banner_us(words))
        self.times(group, {name: each for name, each in numbers.items() if each})
        self.goal(group, "afard", "20 ms", self.value(group, "afard"), 20, 1)
        for name in (f"{self.bin}/afar", f"{self.bin}/afard", f"{self.static}/afar", f"{self.static}/afard",
                     "/usr/bin/ssh", "/usr/sbin/sshd", "/usr/sbin/dropbear", "/usr/bin/dbclient"):
            if os.path.exists(name):
                short = "/".join(name.split("/")[-3:]).replace("/bin", "")
                self.row(group, f"size of {short}", os.path.getsize(name) / 1e6, "MB")

    def banner_us(self, words):
        """From its start to the first line that it says."""
        port = peers.free_port()
        with open(f"{self.folder}/sshd_config", encoding="utf-8") as file, \
                open(f"{self.folder}/sshd_config2", "w", encoding="utf-8") as other:
            other.write("".join(f"Port {port}\n" if line.startswith("Port") else line for line in file))
        begun = time.monotonic()
        process = subprocess.Popen([word.format(port) for word in words], stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    with peers.socket.create_connection(("127.0.0.1", port)) as connection:
                        connection.recv(10)
                    return (time.monotonic() - begun) * 1e6
                except OSError:
                    time.sleep(0.0005)
        finally:
            process.terminate()
            process.wait()

    def growth(self):
        group = "growth: warm true over TLS, as a ratio to the local spawn of the same moment"
        rounds = "200" if self.quick else "1000"
        steps = [("no other connection", 0, ())]
        steps += [(f"{count} idle connections", count, ()) for count in (100, 1000, 10000)]
        steps += [(f"{count} running jobs", count, ("/bin/sleep", "1000")) for count in (1, 100, 1000)]
        if self.quick:
            steps = [step for step in steps if step[1] <= 1000]
        for name, count, words in steps:
            server = Afard(self.bin, self.certs)
            crowd = self.held(server.tls, count, *words) if count else None
            found = self.samples("warm", rounds, server.tls)
            ratio = statistics.median(found["tls"]) / statistics.median(found["local"])
            self.row(group, name, ratio, "x")
            if crowd:
                crowd.communicate("")
            server.close()
        ends = [row["value"] for row in self.rows if row["group"] == group]
        self.goal(group, "the slowest", "the fastest", max(ends), min(ends), 1.2)

    def calls(self):
        """System calls of one warm command, by the difference of two runs."""
        group = "system calls and switches of one warm true"
        if not peers.have("strace"):
            return
        for name, url in (("TCP", self.server.tcp), ("TLS", self.server.tls)):
            few, many = (self.count_calls(url, count) for count in (20, 220))
            for what in ("calls", "switches"):
                self.row(group, f"afard, {name}: {what}", (many[what] - few[what]) / 200, "")
        # See SMALLEST in the source.
        self.row(group, "the fewest that could do it: calls", float(len(SMALLEST)), "")

    def count_calls(self, url, count):
        server = Afard(self.bin, self.certs)
        try:
            url = server.tcp if url.startswith("tcp") else server.tls
            log = f"{self.folder}/strace"
            with subprocess.Popen(["strace", "-f", "-c", "-o", log, "-p", str(server.pid)],
                                  stderr=subprocess.PIPE, text=True) as tracer:
                tracer.stderr.readline()
                before = switches(server.pid)
                command(self.clock, "warm", str(count), url)
                after = switches(server.pid)
                tracer.terminate()
            with open(log, encoding="utf-8") as file:
                total = next(line.split() for line in file if line.rstrip().endswith("total"))
            return {"calls": int(total[2] if len(total) < 6 else total[3]), "switches": after - before}
        finally:
            server.close()


# What one command needs at least, with the client waiting and three pipes: the parent's read of the request,
# pipe2 x3, clone, close x3 of the child's ends, reads of both pipes' data and end (here: the end alone), close x3,
# epoll_wait for the end, waitid, and one write of the answer; the child's dup2 x3, execve, and what `true` does itself
# (brk, mmap … as its loader likes) is not the server's.
SMALLEST = ["recv", "pipe2", "pipe2", "pipe2", "clone3", "close", "close", "close", "dup2", "dup2", "dup2", "execve",
            "epoll_wait", "read", "read", "close", "close", "close", "waitid", "send"]


def switches(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8") as file:
            total += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    return total


def print_table(rows):
    group = None
    for row in rows:
        if row["group"] != group:
            group = row["group"]
            print(f"\n{group}")
        if "goal" in row:
            sign = "<=" if row["better"] == "less" else ">="
            print(f"    {row['name']:42} {row['ratio']:9.2f} x {row['goal']} (to be {sign} {row['bound']:g}): "
                  f"{'met' if row['met'] else 'NOT MET'}")
        else:
            p99 = f"   p99 {row['p99']:.2f}" if row["p99"] is not None else ""
            print(f"    {row['name']:42} {row['value']:9.2f} {row['unit']}{p99}")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(": ")[1].strip() for line in file if line.startswith("model name")), "?")
    return {"cores": CORES, "cpu": model, "kernel": platform.release(),
            "openssl": command("openssl", "version").split()[1], "date": time.strftime("%Y-%m-%d")}


def main(build, *words):
    quick = "--quick" in words
    wanted = [word for word in words if word != "--quick"] or MEASURES
    if set(wanted) - set(MEASURES):
        sys.exit(f"bench: {', '.join(sorted(set(wanted) - set(MEASURES)))}: the measures are {' '.join(MEASURES)}")
    bench = Bench(build, quick)
    about = machine()
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    for text in bench.peers.missing:
        print(f"left out: {text}")
    try:
        for name in wanted:
            first = len(bench.rows)
            getattr(bench, name)()
            print_table(bench.rows[first:])
            sys.stdout.flush()
    finally:
        bench.close()
    with open(f"{ROOT}/build/bench.json", "w", encoding="utf-8") as file:
        json.dump({"machine": about, "quick": quick, "rows": bench.rows}, file, indent=1)
    chart.write(f"{ROOT}/build/bench.svg", about, bench.rows)
    print("\nbuild/bench.json, build/bench.svg")


main(*sys.argv[1:])

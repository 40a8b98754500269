"""Where the bench plays: a folder with certificates, servers of ours in it, and the clock."""
import ctypes
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CORES = os.cpu_count()
LIMIT_S = 600  # for one run of the clock or of another program
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def die_with_us():
    """For preexec_fn: a server ends with the bench, whatever ends that."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def run(*words, **more):
    """A program to its end; what it printed. It and all that it started are ended if it takes too long."""
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
                          **{"stdout": subprocess.PIPE, **more}) as process:
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(words[:3])}: status {process.returncode}: {err[-500:]}")
    return out


def stop(process):
    process.terminate()
    process.wait()


def pss_kib(pid):
    """Proportional set size: its own memory, and its part of what it shares."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def descendants(pid):
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended
    found = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return found - {pid}
        found |= more


class Stage:
    def __init__(self, build, quick):
        self.quick = quick
        self.bin = f"{build}/bin"
        self.static = f"{ROOT}/build/static/bin"
        self.clock = f"{build}/tests/bench/clock"
        self.hello = f"{build}/tests/bench/hello"
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.folder = tempfile.mkdtemp(prefix="afar-bench-")
        os.chmod(self.folder, 0o755)  # ssh's user lives there; keys are of mode 0600
        self.certs = f"{self.folder}/certs"
        self.credentials = [f"{self.certs}/{name}.pem" for name in ("ca", "client", "client-key")]
        # The same wherever it runs: each command is given the server's.
        os.environ.clear()
        os.environ.update(zip(("AFAR_CA", "AFAR_CERT", "AFAR_KEY"), self.credentials), AFAR_SESSIONS="",
                          PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME=self.folder,
                          LANG="C.UTF-8")
        self.servers = []
        self.shares = {}  # where each program keeps its own
        run("sh", f"{ROOT}/certs/make-certs", self.certs, "--quiet")

    def close(self):
        for server in list(self.servers):
            server.close()
        for folder, words in self.shares.items():
            run(f"{folder}/afar", "share", "--stop", env={**os.environ, **dict([words.split("=")])})
        shutil.rmtree(self.folder, ignore_errors=True)

    def count(self, full, quick):
        return quick if self.quick else full

    def rounds(self, seconds, least, most):
        """For a loop: at least and at most so many turns, and no other once so long is over. With --quick: two."""
        begun = time.monotonic()
        for turn in range(self.count(most, 2)):
            if turn >= least and time.monotonic() - begun > seconds:
                return
            yield turn

    def has_static(self, program="afar"):
        return os.path.exists(f"{self.static}/{program}")

    def afard_words(self, program=None):
        return [program or f"{self.bin}/afard", "--listen", "tls://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0",
                "--tls-cert", f"{self.certs}/server.pem", "--tls-key", f"{self.certs}/server-key.pem",
                "--tls-client-ca", f"{self.certs}/ca.pem", "--print-endpoints", "--log-level", "error", "--set",
                "max_connections=20000", "--set", "max_connections_per_address=0", "--set",
                "max_jobs_per_identity=0", "--set", "max_unauthenticated=4096",
                "--set", "max_unauthenticated_per_address=0",
                # Who is not root could neither trace it nor see its memory.
                *(() if os.geteuid() == 0 else ("--set", "dumpable=yes"))]

    def serve(self, *before, arguments=(), **more):
        """`before`: words in front of afard's; `arguments`: behind."""
        return Server(self, [*before, *self.afard_words(), *arguments], more)

    def share(self, folder, url):
        """The environment, as words, in which this folder's afar has connections to share."""
        if folder not in self.shares:
            place = f"{self.folder}/shares-{len(self.shares)}"
            os.mkdir(place, 0o700)
            self.shares[folder] = f"XDG_RUNTIME_DIR={place}"
        words = self.shares[folder]
        run(f"{folder}/afar", "share", "--share", "1h", url, env={**os.environ, **dict([words.split("=")])})
        return [words]

    # ---- the clock ----

    def turns(self, rounds, table, pace_ms=0, **environment):
        """Contestants, as words by name (see clock.c), in turns: lists of microseconds by name."""
        path = f"{self.folder}/turns"
        with open(path, "w", encoding="utf-8") as file:
            for name, words in table.items():
                file.write("\t".join([name, *words]) + "\n")
        found = {name: [] for name in table}
        for line in run(self.clock, "turns", str(rounds), path, *([str(pace_ms)] if pace_ms else []),
                        env={**os.environ, **environment}).splitlines():
            name, taken = line.rsplit(" ", 1)
            found.setdefault(name, []).append(float(taken))
        self.switches = found.pop("(switches)")[0]  # of the clock itself, the client
        return found

    def rate(self, seconds, count, *words):
        return float(run(self.clock, "rate", str(seconds), str(count), *words).split()[1])

    def hold(self, url, count, *command):
        return Crowd(self, url, count, command)


class Server:
    """An afard of ours. Also to be used in `with`."""

    def __init__(self, stage, words, more):
        self.stage = stage
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=die_with_us, **more)
        stage.servers.append(self)
        lines = [self.process.stdout.readline().split() for _ in range(2)]
        if not all(lines):
            raise RuntimeError(f"{words[0]} does not start")
        self.tls, self.tcp = (line[1] for line in lines)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        if self in self.stage.servers:
            self.stage.servers.remove(self)
            stop(self.process)
            self.process.stdout.close()


class Crowd:
    """Connections that are there and do nothing; with a command they run that, once begin() is called."""

    def __init__(self, stage, url, count, command):
        self.process = subprocess.Popen([stage.clock, "hold", url, str(count), *command], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, preexec_fn=die_with_us)
        self.expect("held\n")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def expect(self, line):
        if self.process.stdout.readline() != line:
            self.close()
            raise RuntimeError(f"clock hold has not {line.strip()}")

    def begin(self):
        self.process.stdin.write("begin\n")
        self.process.stdin.flush()
        self.expect("running\n")

    def close(self):
        self.process.communicate()

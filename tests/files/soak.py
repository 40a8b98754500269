#!/usr/bin/python3
"""Files under load and under disturbance. Usage: tests/files/soak.py BUILD [--short] [CASE...]

--short: a slice of each case, for the ordinary tests. What is measured is printed; only the whole run
compares it with a bound.
"""
import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

from common import Afard, Skip, need, run, same
from delay import Delay

MIB = 1 << 20
RSS_KIB = 24 * 1024  # of a client, and of what serves it
GROWTH_KIB = 4 * 1024  # of the server


class Stage:
    """A server, and a folder to work in."""

    def __init__(self, build, work, short):
        self.build = build
        self.work = pathlib.Path(work)
        self.short = short
        self.dice = random.Random(17)
        self.afard = None

    def start(self, *words):
        self.afard = Afard(self.build, *(words or ["--listen", "tcp://127.0.0.1:0"]))
        return self.afard

    def size(self, whole, short):
        return short if self.short else whole

    def cp(self, *words, status=0, **more):
        done = subprocess.run([self.build / "bin/afar", "cp", *words], capture_output=True, text=True,
                              timeout=3600, check=False, **more)
        assert done.returncode == status, (words, done.returncode, done.stdout[-500:], done.stderr[-500:])
        return done

    def begin(self, *words, **more):
        return subprocess.Popen([self.build / "bin/afar", "cp", *words], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **more)

    def away(self, name):
        """A path on the server, as afar cp wants it."""
        return f"{self.afard.url}:{self.work / name}"

    def random_file(self, name, size):
        path = self.work / name
        with open(path, "wb") as file:
            for _ in range(0, size, MIB):
                file.write(self.dice.randbytes(MIB))
            file.truncate(size)
        return path

    def close(self):
        if self.afard is not None and self.afard.process.poll() is None:
            self.afard.close()


def facts(path):
    info = os.stat(path)
    return info.st_mode, info.st_mtime_ns, info.st_size


def helpers(server):
    """The processes that serve files."""
    found = []
    tasks = pathlib.Path(f"/proc/{server.process.pid}/task")
    for children in tasks.glob("*/children"):
        for pid in children.read_text().split():
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{pid}/comm").read_text() == "afard-files\n":
                    found.append(int(pid))
    return found


def status_kib(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise KeyError(key)


def until(what, within_s=60):
    deadline = time.monotonic() + within_s
    while not (value := what()):
        assert time.monotonic() < deadline, "it has not come to that"
        time.sleep(0.02)
    return value


def leftovers(folder):
    return [name for name in os.listdir(folder) if ".afar-" in name]


# ---- what arrives -------------------------------------------------------------------------------


def sizes(stage):
    """Large ones, with and without holes, both ways."""
    stage.start()
    plain = stage.random_file("plain", stage.size(1024, 48) * MIB + 13)
    sparse = stage.work / "sparse"
    with open(sparse, "wb") as file:
        file.truncate(stage.size(5120, 300) * MIB)
        file.seek(stage.size(3000, 170) * MIB)
        file.write(b"x" * 70000)
    for source in (plain, sparse):
        os.chmod(source, 0o640)
        os.utime(source, ns=(1_000_000_001, 1_234_567_890_123_456_789))
        for target, words in (("up", [source, stage.away("up")]), ("down", [stage.away(source), stage.work / "down"])):
            began = time.monotonic()
            stage.cp(*words)
            spent = time.monotonic() - began
            run("cmp", source, stage.work / target, timeout=3600)
            assert facts(source) == facts(stage.work / target)
            print(f"    {source.name} {target}: {os.stat(source).st_size / MIB / spent:.0f} MiB/s")
            if source is sparse:
                assert os.stat(stage.work / target).st_blocks < 1000
            os.unlink(stage.work / target)


def where(stage, point):
    """Source and target of a copy up or down, by turns; and the folder of the target."""
    folder = stage.work / "t"
    if point % 2 == 0:
        return [stage.work / "a", stage.away("t/a")], folder
    return [stage.away("a"), folder / "a"], folder


def cuts(stage):
    """A replacement is ended at random points: by the death of one of those who do it."""
    new = stage.random_file("a", 12 * MIB)
    os.mkdir(stage.work / "t")
    resumed = 0
    for point in range(stage.size(100, 8)):
        victim = ("client", "helper", "server", "interrupted")[point // 2 % 4]
        if stage.afard is None:
            stage.start()
        for name in os.listdir(stage.work / "t"):
            os.unlink(stage.work / "t" / name)
        (stage.work / "t/a").write_text("old")
        words, folder = where(stage, point)
        with stage.begin("--reconnect", "5s", "--limit", "12M", *words) as process:
            wait_s = stage.dice.uniform(0, 1.2)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(wait_s)
            if victim == "client":
                process.kill()
            elif victim == "interrupted":
                process.terminate()
            elif victim == "server":
                stage.afard.process.kill()
                stage.afard.process.wait()
            else:
                for pid in helpers(stage.afard):
                    os.kill(pid, signal.SIGKILL)
            process.communicate(timeout=120)
        if victim == "server":
            stage.start()
            words, folder = where(stage, point)
        now = (folder / "a").read_bytes()
        assert now in (b"old", new.read_bytes()), (victim, len(now))
        assert all(name == "a" or name in leftovers(folder) for name in os.listdir(folder))
        if victim == "interrupted" and process.returncode == 143:
            assert len(leftovers(folder)) <= 1
        done = json.loads(stage.cp("--json", *words).stdout.splitlines()[0])
        resumed += done["resumed_from"] > 0
        assert (folder / "a").read_bytes() == new.read_bytes()
        assert os.listdir(folder) == ["a"], os.listdir(folder)
    print(f"    {resumed} were gone on with")
    assert resumed > 0


def crowd(stage):
    """Twenty on one target; sixteen with targets of their own, none of which starves."""
    stage.start()
    files = [stage.random_file(f"c{number}", 3 * MIB) for number in range(20)]
    begun = [stage.begin(file, stage.away("one")) for file in files]
    assert [process.wait(300) for process in begun] == [0] * 20
    one = (stage.work / "one").read_bytes()
    assert any(one == file.read_bytes() for file in files)
    assert not leftovers(stage.work)
    size = stage.size(64, 4)
    stage.random_file("large", size * MIB)
    begun = [stage.begin("--json", stage.work / "large", stage.away(f"p{number}")) for number in range(16)]
    ms = []
    for process in begun:
        out, _ = process.communicate(timeout=1200)
        assert process.returncode == 0
        ms.append(json.loads(out.splitlines()[-1])["ms"])
    print(f"    sixteen at once: {min(ms)} to {max(ms)} ms")
    assert stage.short or max(ms) <= 4 * min(ms) + 1000


def interrupts(stage):
    """INT, TERM and HUP at any point: the status, no half file, a word, and what can be gone on with."""
    stage.start()
    tree = stage.work / "tree"
    for number in range(30):
        (tree / str(number)).mkdir(parents=True)
        for name in range(20):
            (tree / str(number) / str(name)).write_bytes(stage.dice.randbytes(3000))
    stage.random_file("tree/large", 8 * MIB)
    for point in range(stage.size(50, 6)):
        target = stage.work / "to"
        number = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[point % 3]
        words = ["-r", tree, stage.away("to")] if point % 2 else ["-r", stage.away("tree"), target]
        with stage.begin("--limit", "8M", *words) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(stage.dice.uniform(0, 1.0))
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        assert process.returncode in (0, 128 + number, -number), (process.returncode, said)
        assert process.returncode != 128 + number or "interrupted by" in said, said
        for folder, _, names in os.walk(target):
            for name in names:
                if ".afar-" not in name:
                    from_path = tree / pathlib.Path(folder).relative_to(target) / name
                    run("cmp", from_path, pathlib.Path(folder) / name)
        shutil.rmtree(target, ignore_errors=True)


# ---- rules --------------------------------------------------------------------------------------


def rules(stage):
    """What --explain says of a path is what happens to it."""
    top = stage.work / "top"
    for name in ("w", "w/d", "r", "r/d", "x", "ww"):
        (top / name).mkdir(parents=True)
        (top / name / "f").write_text("text")
    conf = stage.work / "rules.conf"
    conf.write_text(f"[server]\nlisten = tcp://127.0.0.1:0\n[allow x]\nclient = any\nmay = files\n"
                    f"files = write {top}/w\nfiles = read {top}/r {top}/x/f\n")
    stage.start("-c", conf)
    stage.cp("-r", f"{stage.afard.url}:{top}", stage.work / "seen")
    seen = {str(path.relative_to(stage.work / "seen")) for path in (stage.work / "seen").rglob("*")}
    assert seen == {"w", "w/f", "w/d", "w/d/f", "r", "r/f", "r/d", "r/d/f", "x", "x/f"}, seen
    paths = ["w", "w/f", "w/d/f", "w/d", "w/none", "r", "r/f", "r/d/f", "r/d", "r/none", "x/f",
             "x/none", "ww/f", "ww", "w/d/none", "r/d/none", "none", "w/..f", "r/..f", "x/f/none"]
    for kind in ("read", "write"):
        for name in paths:
            told = subprocess.run([stage.build / "bin/afard", "-c", conf, "--explain", "cn:ann", "--files", kind,
                                   "--", top / name], capture_output=True, check=False).returncode
            assert told in (0, 3), (kind, name, told)
            if kind == "read":
                done = subprocess.run([stage.build / "bin/afar", "cp", "-r", f"{stage.afard.url}:{top}/{name}",
                                       stage.work / "got"], capture_output=True, text=True, check=False)
            else:
                target = f"{top}/{name}/new" if (top / name).is_dir() else f"{top}/{name}"
                done = subprocess.run([stage.build / "bin/afar", "cp", "-", f"{stage.afard.url}:{target}"],
                                      input="new", capture_output=True, text=True, check=False)
            if told == 3 and "Not a directory" in done.stderr:
                continue
            refused = "outside of what the rule allows" in done.stderr or "Permission denied" in done.stderr
            assert refused == (told == 3), (kind, name, told, done.stderr)
            shutil.rmtree(stage.work / "got", ignore_errors=True)
            (stage.work / "got").unlink(missing_ok=True)
    for line in ("force = /bin/true", "wrapper = /bin/true", "record = all", "pty = must"):
        bad = stage.work / "bad.conf"
        bad.write_text(f"[server]\nlisten = tcp://127.0.0.1:0\n[allow x]\nclient = any\nmay = files run\n"
                       f"command = **\n{line}\n")
        done = subprocess.run([stage.build / "bin/afard", "-c", bad, "--check"], capture_output=True, text=True,
                              check=False)
        assert done.returncode != 0, line
    bad.write_text(f"[server]\nlisten = tcp://127.0.0.1:0\n[allow x]\nclient = any\ncommand = **\n"
                   f"files = read {top}\n")
    assert subprocess.run([stage.build / "bin/afard", "-c", bad, "--check"], capture_output=True,
                          check=False).returncode != 0


# seccomp(2): openat2, which is 437 everywhere, is not there.
FILTER = b"".join(struct.pack("HBBI", *op) for op in (
    (0x20, 0, 0, 0), (0x15, 0, 1, 437), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)))


def without_openat2():
    class Program(ctypes.Structure):
        _fields_ = [("size", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    libc = ctypes.CDLL(None, use_errno=True)
    code = ctypes.create_string_buffer(FILTER, len(FILTER))
    program = Program(len(FILTER) // 8, ctypes.cast(code, ctypes.c_void_p))
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, ctypes.byref(program), 0, 0) != 0:
        os._exit(99)


def no_openat2(stage):
    """A kernel that cannot keep a client in: with listed files nothing is served, without them all."""
    (stage.work / "f").write_text("text")
    for listed, status in ((f"files = read {stage.work}\n", 125), ("", 0)):
        conf = stage.work / "old.conf"
        conf.write_text(f"[server]\nlisten = tcp://127.0.0.1:0\n[allow x]\nclient = any\nmay = files\n{listed}")
        try:
            server = Afard(stage.build, "-c", conf, preexec_fn=without_openat2)
        except AssertionError as error:
            raise Skip("no seccomp filter can be set") from error
        done = subprocess.run([stage.build / "bin/afar", "cp", f"{server.url}:{stage.work}/f", "-"],
                              capture_output=True, text=True, check=False)
        server.close()
        assert done.returncode == status and ("openat2" in done.stderr or status == 0), done


def older_server(stage):
    """One from before files were served says no such thing is known."""

    def answer(listener):
        client, _ = listener.accept()
        with client:
            size = struct.unpack("<I", client.recv(4, socket.MSG_WAITALL))[0]
            client.recv(size, socket.MSG_WAITALL)
            head = json.dumps({"type": "error", "v": 1, "id": 1, "code": "bad_request", "size": 0,
                               "message": "exactly one of argv and shell was expected"}).encode()
            client.sendall(struct.pack("<I", len(head)) + head)
            with contextlib.suppress(OSError):
                while client.recv(65536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, args=[listener], daemon=True).start()
        done = subprocess.run([stage.build / "bin/afar", "cp", "/etc/passwd",
                               f"tcp://127.0.0.1:{listener.getsockname()[1]}:/x"], capture_output=True, text=True,
                              timeout=60, check=False)
    assert done.returncode == 125 and "offers no files (its afard is older)" in done.stderr, done


# ---- sessions -----------------------------------------------------------------------------------


def locked(path):
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def sessions(stage):
    """Two hundred, of which some are killed, some time out; a reload among them and a drain behind them."""
    conf = stage.work / "afard.conf"
    conf.write_text("[server]\nlisten = tcp://127.0.0.1:0\nmax_jobs = 300\n")
    server = stage.start("-c", conf)
    pid = server.process.pid
    stage.cp("-", stage.away("warm"), input="x")
    before = len(os.listdir(f"/proc/{pid}/fd"))
    count = stage.size(200, 24)
    begun = [subprocess.Popen([stage.build / "bin/afar", "sftp", server.url, *["--timeout", "3s"][:2 * (i % 4 == 0)]],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
             for i in range(count)]
    until(lambda: len(helpers(server)) == count)
    with stage.begin("--reconnect", "0", "--limit", "1M", stage.random_file("a", 8 * MIB), stage.away("b")) as cut:
        partial = until(lambda: leftovers(stage.work))[0]
        os.kill(pid, signal.SIGHUP)
        cut.kill()
    for process in begun[1::4]:
        process.kill()
    for child in helpers(server)[2::4]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    for process in begun:
        process.stdin.close()
        process.wait(60)
        process.stdout.close()
    # Those that were killed stay away until their time is over, unless they are drained.
    stage.cp("-", stage.away("warm"), input="x")
    until(lambda: not locked(stage.work / partial))
    if not stage.short:
        until(lambda: len(os.listdir(f"/proc/{pid}/fd")) <= before + 2, 120)
        assert not helpers(server)
    server.close()
    left = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout
    assert left == "", left


def memory(stage):
    """It does not grow with the number of files."""
    need("bash")
    server = stage.start()
    tree = stage.work / "tree"
    folders = stage.size(1000, 20)
    each = stage.size(1000, 250)
    for number in range(folders):
        folder = tree / str(number % 100) / str(number)
        folder.mkdir(parents=True)
        for name in range(each):
            os.close(os.open(folder / f"{name:06}", os.O_WRONLY | os.O_CREAT, 0o644))
    stage.cp("-", stage.away("warm"), input="x")
    before = status_kib(server.process.pid, "VmRSS")
    peak = [0]
    for words in (["-r", tree, stage.away("up")], ["-r", stage.away("tree"), stage.work / "down"]):
        process = stage.begin(*words)
        client = 0
        while process.poll() is None:
            with contextlib.suppress(OSError, KeyError, IndexError):
                peak[0] = max(peak[0], status_kib(helpers(server)[0], "VmHWM"))
            with contextlib.suppress(OSError, KeyError):
                client = max(client, status_kib(process.pid, "VmHWM"))
            time.sleep(0.05)
        assert process.returncode == 0, process.stderr.read()
        process.stdout.close()
        process.stderr.close()
        growth = status_kib(server.process.pid, "VmRSS") - before
        print(f"    {folders * each} files: client {client} KiB, file server {peak[0]} KiB, server +{growth} KiB")
        if not os.environ.get("SAN"):  # what a sanitizer adds grows
            assert client <= RSS_KIB and peak[0] <= RSS_KIB
            assert growth <= GROWTH_KIB + 8192 * 2, growth  # and the window of a session
    for target in ("up", "down"):
        there = sum(len(names) for _, _, names in os.walk(stage.work / target))
        assert there == folders * each, there


def far(stage):
    """Fifty milliseconds away in each direction: what waits for an answer shows."""
    server = stage.start()
    relay = Delay(int(server.url.rsplit(":", 1)[1]), 0.05)
    url = f"tcp://127.0.0.1:{relay.own_port}"
    count = stage.size(10_000, 1000)
    tree = stage.work / "tree"
    for number in range(count):
        folder = tree / str(number // 250)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).write_bytes(stage.dice.randbytes(2048))
    large = stage.random_file("large", stage.size(1024, 16) * MIB)
    for name, words, target in (
            ("up", ["-r", tree, f"{url}:{stage.work}/up"], "up"),
            ("down", ["-r", f"{url}:{tree}", stage.work / "down"], "down")):
        began = time.monotonic()
        stage.cp(*words)
        spent = time.monotonic() - began
        same(tree, stage.work / target)
        print(f"    {count} files {name}: {spent:.1f} s")
        assert stage.short or spent <= 8
    for name, words in (("up", [large, f"{url}:{stage.work}/large-up"]),
                        ("down", [f"{url}:{large}", stage.work / "large-down"])):
        began = time.monotonic()
        stage.cp(*words)
        spent = time.monotonic() - began
        rate = os.stat(large).st_size / MIB / spent
        run("cmp", large, stage.work / f"large-{name}", timeout=600)
        print(f"    1 file {name}: {rate:.0f} MiB/s")
        assert stage.short or rate >= 60


# ---- no room ------------------------------------------------------------------------------------


def no_room(stage):
    """A full disk, one that is read-only, and a folder of others': said, the old file stays, the rest comes."""
    if os.geteuid() != 0:
        raise Skip("only root can mount")
    small = stage.work / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", small], check=False,
                      capture_output=True).returncode != 0:
        raise Skip("no file system can be mounted here")
    try:
        stage.start()
        source = stage.work / "s"
        source.mkdir()
        stage.random_file("s/b", 3 * MIB)
        (source / "a").write_text("a")
        (source / "c").write_text("c")
        for words in (["-r", f"{source}/.", stage.away("small")], ["-r", stage.away("s") + "/.", small]):
            for name in os.listdir(small):
                os.unlink(small / name)
            (small / "b").write_text("old")
            said = stage.cp(*words, status=1).stderr
            assert "b: No space left on device" in said and "1 of 3 files were not copied" in said, said
            assert (small / "b").read_text() == "old"
            assert sorted(os.listdir(small)) == ["a", "b", "c"], os.listdir(small)
            said = stage.cp("--in-place", words[1].replace("/.", "/b"), f"{words[2]}/b", status=1).stderr
            assert "what was there is damaged" in said, said
        run("mount", "-o", "remount,ro", small)
        for words in ([source / "c", stage.away("small/c")], [stage.away("s/c"), small / "c"]):
            assert "Read-only file system" in stage.cp(*words, status=1).stderr
    finally:
        stage.close()
        run("umount", small)


CASES = [sizes, cuts, crowd, interrupts, rules, no_openat2, older_server, sessions, memory, far, no_room]


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    short = "--short" in sys.argv
    wanted = [word for word in sys.argv[2:] if word != "--short"]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    failed = 0
    for case in CASES:
        if wanted and case.__name__ not in wanted:
            continue
        with tempfile.TemporaryDirectory(prefix="afar-files-") as work:
            stage = Stage(build, work, short)
            began = time.monotonic()
            try:
                case(stage)
                stage.close()
                print(f"ok       {case.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
            except Skip as why:
                print(f"skipped  {case.__name__}: {why}", flush=True)
            except Exception as error:  # the next case tells something too
                failed += 1
                print(f"FAILED   {case.__name__}: {error!r}", flush=True)
            finally:
                if stage.afard is not None:
                    stage.afard.process.kill()
                    stage.afard.process.wait()
    return 1 if failed else 0


sys.exit(main())

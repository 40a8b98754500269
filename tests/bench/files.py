"""Measures of files: afar cp beside scp, rsync, tar and podman cp, near and 100 ms away."""
import os
import shutil
import subprocess
import sys
import time

import peers as others
import stage as stages

sys.path.insert(0, f"{stages.ROOT}/tests/files")
from delay import Delay  # noqa: E402

DELAY_S = 0.05  # in each direction
SCP_FILES = 25  # 100 ms away it takes 10 s for so many; more are counted as as many times as long
CIPHER = ("-c", "aes128-gcm@openssh.com")


def seconds(*words, **more):
    begun = time.monotonic()
    stages.run(*words, **more)
    return time.monotonic() - begun


class Play:
    """A folder that ssh's user may write too, with a large file and many small ones."""

    def __init__(self, stage, peers, delay=None):
        self.top = f"{stage.folder}/files"
        self.far = delay is not None
        self.size = (stage.count(64, 16) if self.far else stage.count(512, 64)) << 20
        self.large = f"large-{self.size >> 20}"
        self.count = stage.count(5_000, 500)
        self.stage = stage
        self.peers = peers
        self.ssh = peers.ssh_words and [*peers.ssh_words[:1], *CIPHER, *peers.ssh_words[1:]]
        if delay and self.ssh:
            at = self.ssh.index("-p") + 1
            self.ssh[at] = str(Delay(int(self.ssh[at]), DELAY_S).own_port)
        if not os.path.exists(self.top):
            os.mkdir(self.top)
            self.make()
        if not os.path.exists(f"{self.top}/{self.large}"):
            with open(f"{self.top}/{self.large}", "wb") as file:
                for _ in range(self.size >> 20):
                    file.write(os.urandom(1 << 20))
            os.chmod(f"{self.top}/{self.large}", 0o644)

    def make(self):
        with open(f"{self.top}/one", "wb") as file:
            file.write(os.urandom(1024))
        for name, count in (("tree", self.count), ("few", SCP_FILES)):
            for number in range(count):
                folder = f"{self.top}/{name}/{number // 250}"
                os.makedirs(folder, exist_ok=True)
                with open(f"{folder}/{number}", "wb") as file:
                    file.write(os.urandom(2048))
        stages.run("chmod", "-R", "a+rX", self.top)

    def clean(self):
        """A new place for what is copied; what is still to be written is not others' time."""
        place = f"{self.top}/to"
        shutil.rmtree(place, ignore_errors=True)
        os.mkdir(place)
        os.chmod(place, 0o777)
        os.sync()
        return place

    def scp_words(self):
        return ["scp", "-q", *("-P" if word == "-p" else word for word in self.ssh[1:-1])]

    def cp(self, url, name, up, *options):
        place = self.clean()
        ends = (f"{self.top}/{name}", f"{url}:{place}/x") if up else (f"{url}:{self.top}/{name}", f"{place}/x")
        return seconds(f"{self.stage.bin}/afar", "cp", *options, *ends)

    def scp(self, name, up, *options):
        place = self.clean()
        user = self.ssh[-1]
        ends = (f"{self.top}/{name}", f"{user}:{place}/x") if up else (f"{user}:{self.top}/{name}", f"{place}/x")
        return seconds(*self.scp_words(), *options, *ends)

    def rsync(self, up):
        place = self.clean()
        user = self.ssh[-1]
        ends = (f"{self.top}/tree/", f"{user}:{place}/x") if up else (f"{user}:{self.top}/tree/", f"{place}/x")
        return seconds("rsync", "-a", "-e", " ".join(self.ssh[:-1]), *ends)

    def tar(self, up):
        place = self.clean()
        ssh = " ".join(self.ssh)
        make, take = f"tar -C {self.top} -cf - tree", f"tar -C {place} -xf -"
        return seconds("bash", "-c", f"{make} | {ssh} '{take}'" if up else f"{ssh} '{make}' </dev/null | {take}")


def one_large(play, url, rows):
    where = ", 100 ms away" if play.far else ""
    for up in (True, False):
        group = f"files: one of {play.size >> 20:,} MiB {'up' if up else 'down'}{where}"
        found = {}
        for _ in range(1) if play.far else play.stage.rounds(8, 2, 3):
            found.setdefault("afar cp, verified", []).append(play.cp(url, play.large, up))
            if not play.far:
                found.setdefault("afar cp --no-verify", []).append(play.cp(url, play.large, up, "--no-verify"))
            if play.ssh:
                found.setdefault("scp", []).append(play.scp(play.large, up))
        rows.medians(group, {name: [(play.size >> 20) / s for s in each] for name, each in found.items()}, "MiB/s",
                     "more")
        rows.goal_of(group, "afar cp, verified", "scp", 3 if play.far else 1.0, "more")
        rows.goal_of(group, "afar cp --no-verify", "scp", 1.3, "more")


def many_small(play, url, rows):
    where = ", 100 ms away" if play.far else ""
    for up in (True, False):
        group = f"files: {play.count:,} of 2 KiB {'up' if up else 'down'}{where}"
        found = {}
        for _ in range(1) if play.far else play.stage.rounds(6, 2, 3):
            found.setdefault("afar cp -r", []).append(play.cp(url, "tree", up, "-r"))
            if not play.ssh:
                continue
            if play.far:
                scp = play.scp("few", up, "-r") * play.count / SCP_FILES
            else:
                scp = play.scp("tree", up, "-r")
            found.setdefault("scp -r", []).append(scp)
            if others.find("rsync") and not play.far:
                found.setdefault("rsync -a over ssh", []).append(play.rsync(up))
            found.setdefault("tar over ssh", []).append(play.tar(up))
        rows.times(group, {name: [s * 1e6 for s in each] for name, each in found.items()})
        rows.goal_of(group, "afar cp -r", "scp -r", 0.01 if play.far else 0.35)
        rows.goal_of(group, "afar cp -r", "rsync -a over ssh", 1.0)
        rows.goal_of(group, "afar cp -r", "tar over ssh", 1.5)


def container(play):
    """One that was never started, whose root has nothing; NULL where there is no podman that can."""
    root = f"{play.top}/root"
    os.makedirs(root, exist_ok=True)
    if not others.find("podman"):
        return None
    made = subprocess.run(["podman", "create", "-q", "--rootfs", root, "/none"], capture_output=True, text=True,
                          check=False)
    return made.stdout.split()[-1] if made.returncode == 0 else None


def one_small(play, url, rows):
    group = "files: one of 1 KiB, the whole process"
    stage, source = play.stage, f"{play.top}/one"
    place = play.clean()
    kept = f"AFAR_SESSIONS={stage.folder}/sessions-files"
    table = {"afar cp, resumed": ["program", kept, f"{stage.bin}/afar", "cp", source, f"{url}:{place}/a"]}
    if play.ssh and "ssh mux" in play.peers.programs:
        mux = play.peers.programs["ssh mux"]
        table["scp on a mux"] = ["program", "scp", "-q", "-F", "none", "-o", f"ControlPath={mux[4]}", source,
                                 f"{mux[5]}:{place}/s"]
    name = container(play)
    if name:
        table["podman cp"] = ["program", "podman", "cp", source, f"{name}:/p"]
    try:
        rows.times(group, stage.turns(stage.count(30, 5), table))
    finally:
        if name:
            stages.run("podman", "rm", "-f", name)
    rows.goal_of(group, "afar cp, resumed", "scp on a mux", 0.8)
    rows.goal_of(group, "afar cp, resumed", "podman cp", 0.5)


def other_client(play, url, rows):
    """sftp(1) itself, over one and over the other."""
    group = f"files: sftp put, {play.size >> 20:,} MiB"
    if not play.ssh:
        return
    batch = f"{play.top}/batch"
    found = {}
    for _ in play.stage.rounds(8, 2, 3):
        with open(batch, "w", encoding="utf-8") as file:
            file.write(f"put {play.top}/{play.large} {play.clean()}/x\n")
        found.setdefault("over afar", []).append(
            seconds("sftp", "-q", "-b", batch, "-D", f"{play.stage.bin}/afar sftp {url}"))
        play.clean()
        words = ["-P" if word == "-p" else word for word in play.ssh[1:]]
        found.setdefault("over ssh", []).append(seconds("sftp", "-q", "-b", batch, *words))
    rows.medians(group, {name: [(play.size >> 20) / s for s in each] for name, each in found.items()}, "MiB/s",
                     "more")
    rows.goal_of(group, "over afar", "over ssh", 1.1, "more")


def private_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_"))


def memory(play, server, rows):
    """Of a session that has said hello and waits."""
    group = "files: memory of one session"
    before = private_kib(server.process.pid)
    with subprocess.Popen([f"{play.stage.bin}/afar", "sftp", server.tls], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, preexec_fn=stages.die_with_us) as client:
        client.stdin.write(b"\0\0\0\5\1\0\0\0\3")
        client.stdin.flush()
        client.stdout.read(9)
        helper = max(stages.descendants(server.process.pid))
        own = private_kib(helper)
        rows.add(group, "file server, private", own, "KiB")
        rows.add(group, "server, more than before", max(0, private_kib(server.process.pid) - before), "KiB")
        client.stdin.close()
        client.stdout.read()
    rows.goal_to(group, "file server, private", "1 MiB", 1024, 1.0)


def near(measure):
    def part(stage, peers, rows):
        with stage.serve() as server:
            measure(Play(stage, peers), server.tls, rows)
    return part


def far(measure):
    def part(stage, peers, rows):
        with stage.serve() as server:
            scheme, port = server.tls.rsplit(":", 1)
            measure(Play(stage, peers, DELAY_S), f"{scheme}:{Delay(int(port), DELAY_S).own_port}", rows)
    return part


def session(stage, peers, rows):
    with stage.serve() as server:
        memory(Play(stage, peers), server, rows)


PARTS = {"large": near(one_large), "small": near(many_small), "one": near(one_small), "sftp": near(other_client),
         "memory": session, "far-small": far(many_small), "far-large": far(one_large)}

"""Measures of programs that start ssh: engines. Each is run by OpenSSH with a master connection that is open, and by
`afar ssh` in its place, with a shared connection and without, in turns."""
import os
import shutil
import subprocess
import time

import peers as others
import stage as stages

SSH, AFAR, SHARED = "ssh, ControlPersist", "afar ssh", "afar ssh, share"
TASKS, HOSTS = 4, 4


class Side:
    """A program to be started in ssh's place; a node of any name n… is this machine."""

    def __init__(self, stage, name, lines, environment):
        self.name, self.environment = name, {**os.environ, **environment}
        self.folder = f"{stage.folder}/engines-{name.replace(',', '').replace(' ', '-')}"
        os.makedirs(f"{self.folder}/bin", exist_ok=True)
        self.ssh = f"{self.folder}/bin/ssh"
        with open(self.ssh, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + lines)
        os.chmod(self.ssh, 0o755)
        self.environment["PATH"] = f"{self.folder}/bin:{os.environ['PATH']}"

    def run(self, *words, cwd=None):
        begun = time.monotonic()
        done = subprocess.run(words, env=self.environment, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}: {' '.join(words)[:200]}: {done.returncode}: {done.stderr[-500:]}")
        return (time.monotonic() - begun) * 1e6


def sides(stage, peers, server):
    host = ("[n*]", f"endpoint = {server.tls.replace('127.0.0.1', 'localhost')}")
    runtime = f"{stage.folder}/run-engines"
    os.makedirs(runtime, mode=0o700, exist_ok=True)
    line = f"exec {stage.bin}/afar ssh \"$@\"\n"
    common = {"AFAR_SESSIONS": f"{stage.folder}/sessions-engines", "XDG_RUNTIME_DIR": runtime}
    found = [Side(stage, AFAR, line, {"AFAR_HOSTS": peers.write("engines-hosts", *host), **common}),
             Side(stage, SHARED, line, {"AFAR_HOSTS": peers.write("engines-share", *host, "share = 60s"), **common})]
    if peers.ssh_words:
        port = peers.ssh_words[peers.ssh_words.index("-p") + 1]
        found.append(Side(stage, SSH, f"exec {others.find('ssh')} -F none -o HostName=127.0.0.1 -o Port={port} "
                          f"-o User={peers.user} -o IdentityFile={peers.folder}/ssh_id -o StrictHostKeyChecking=no "
                          "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ControlMaster=auto "
                          f"-o ControlPath={peers.folder}/engine-%n -o ControlPersist=60 \"$@\"\n", {}))
    return found


def there(peers, name):
    """A folder that the other side can write."""
    path = f"{peers.folder}/home/engines"
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o777)
    shutil.rmtree(f"{path}/{name}", ignore_errors=True)
    return f"{path}/{name}"


def as_user(peers):
    """Words for an afard that runs commands as the user of OpenSSH's side. Else each command would begin by root's
    shell and what that reads (a .bashrc of 200 ms was once taken for Afar's own time)."""
    if not peers.user:
        return ()
    return "-c", peers.write("engines.conf", "[allow all]", "client = cn:*", f"user = {peers.user}", "shell = yes",
                             "command = **", "env = GIT_PROTOCOL")


# ---- each gives names, and what is to be done by a side; the result is microseconds ----

def rsync(stage, peers, _):
    small, big = f"{stage.folder}/small", f"{stage.folder}/big"
    os.makedirs(small)
    os.makedirs(big)
    for number in range(stage.count(2000, 200)):
        with open(f"{small}/{number}", "w", encoding="utf-8") as file:
            file.write(f"{number}\n" * 200)
    with open(f"{big}/file", "wb") as file:
        for _ in range(stage.count(500, 20)):
            file.write(os.urandom(1 << 20))
    for name, path in (("small files", small), ("one large file", big)):
        yield f"rsync: {name}", lambda side, path=path: side.run("rsync", "-a", f"{path}/",
                                                                f"n1:{there(peers, 'rsync')}/")


def git(stage, peers, _):
    origin = f"{peers.folder}/origin.git"
    if not os.path.exists(f"{stages.ROOT}/.git"):
        return
    stages.run("git", "clone", "-q", "--bare", stages.ROOT, origin)
    stages.run("chmod", "-R", "a+rX", origin)
    safe = peers.write("gitconfig", "[safe]", "directory = *")

    def clone(side):
        side.environment |= {"GIT_CONFIG_GLOBAL": safe}
        target = f"{side.folder}/clone"
        shutil.rmtree(target, ignore_errors=True)
        return side.run("git", "clone", "-q", "-u", f"git -c safe.directory={origin} upload-pack",
                        f"n1:{origin}", target)
    yield "git clone", clone


def clush(*_):
    yield "clush, 50 nodes", lambda side: side.run("clush", "-S", "-f", "64", "-w", "n[1-50]", "true")


def ansible(stage, peers, _):
    play = peers.write("play.yml", "- hosts: all", "  gather_facts: no", "  tasks:",
                       *["    - command: /bin/true"] * stage.count(TASKS, 4))
    empty = peers.write("ansible.cfg", "")
    nodes = ",".join(f"n{number}" for number in range(1, stage.count(HOSTS, 2) + 1)) + ","
    for label, pipelining in (("", "0"), (", pipelining", "1")):
        def tasks(side, pipelining=pipelining):
            side.environment |= {"ANSIBLE_CONFIG": empty, "ANSIBLE_PIPELINING": pipelining, "ANSIBLE_NOCOLOR": "1",
                                 "ANSIBLE_SSH_ARGS": "", "ANSIBLE_SSH_TRANSFER_METHOD": "piped",
                                 "ANSIBLE_HOST_KEY_CHECKING": "False", "ANSIBLE_REMOTE_TMP": there(peers, "ansible"),
                                 "ANSIBLE_LOCAL_TEMP": f"{side.folder}/local",
                                 "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3"}
            return side.run("ansible-playbook", "-i", nodes, play)
        yield f"Ansible, tasks on hosts{label}", tasks


BOUNDS = {"clush, 50 nodes": 0.25, "Ansible, tasks on hosts, pipelining": 0.9}


def engine(program, cases):
    def part(stage, peers, rows):
        if not others.find(program):
            print(f"left out: {program}: not installed (make deps-engines)")
            return
        with stage.serve(arguments=as_user(peers)) as server:
            found = sides(stage, peers, server)
            for name, case in cases(stage, peers, found):
                group = f"engines: {name}"
                times = {side.name: [] for side in found}
                for side in found:
                    case(side)  # the first opens the master connection, or keeps a session
                for _ in stage.rounds(8, 2, 5):
                    for side in found:
                        times[side.name].append(case(side))
                rows.times(group, times)
                rows.goal_of(group, SHARED, SSH, BOUNDS.get(name, 1.0))
                rows.goal_of(group, AFAR, SSH, None)
            stages.run(f"{stage.bin}/afar", "share", "--stop", env=found[1].environment)
    return part


PARTS = {"rsync": engine("rsync", rsync), "git": engine("git", git), "clush": engine("clush", clush),
         "ansible": engine("ansible-playbook", ansible)}

"""What a user would pick instead of Afar, each with a configuration, keys and a port of its own on loopback,
ended by pid."""
import os
import shutil
import signal
import socket
import subprocess
import time

import stage as stages

DEADLINE_S = 20
ED25519 = ("-t", "ed25519")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def find(program):
    """Its path, or None."""
    return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin:/usr/lib/nagios/plugins")


def until(condition, process):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args[0]} does not start")
        time.sleep(0.01)


def listens(port):
    """Whether somebody does, without a connection that they would notice."""
    wanted = f"0100007F:{port:04X}"
    with open("/proc/net/tcp", encoding="utf-8") as file:
        return any(line.split()[1] == wanted and line.split()[3] == "0A" for line in file)


class Peers:
    """One that is not installed, or cannot be started here, is left out: `missing` has lines that say so."""

    def __init__(self, folder, certs):
        self.folder, self.certs = folder, certs
        self.processes, self.missing = [], []
        # Words of a client that has `true` run, by name; "..., cold": both sides prove who they are.
        self.programs = {}
        self.ssh_words = []  # to be followed by a command
        self.sshd = None
        self.ssh_port = 0
        self.user = None

    def __enter__(self):
        try:
            for name, begin, programs, for_root in (
                    ("ssh", self.begin_ssh, ("ssh", "sshd", "ssh-keygen"), True),
                    ("Dropbear", self.begin_dropbear, ("dbclient", "dropbear", "dropbearkey"), True),
                    ("socat", self.begin_socat, ("socat",), False),
                    ("ncat", self.begin_ncat, ("ncat",), False),
                    ("check_nrpe", self.begin_nrpe, ("check_nrpe", "nrpe"), False)):
                absent = [program for program in programs if not find(program)]
                if absent:
                    self.missing.append(f"{name}: {', '.join(absent)} not installed (make deps-bench)")
                elif for_root and os.geteuid() != 0:
                    self.missing.append(f"{name}: its server needs root, and a user made for it")
                else:
                    begin()
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *unused):
        sessions = stages.descendants(self.sshd.pid) if self.sshd else ()  # somebody's master may still have one
        for process in reversed(self.processes):
            stages.stop(process)
        for pid in sessions:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        self.remove_user()

    def remove_user(self):
        """Once its processes are no more."""
        deadline = time.monotonic() + DEADLINE_S
        while self.user:
            done = subprocess.run(["userdel", self.user], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                self.user = None
            elif time.monotonic() > deadline:
                print(f"user {self.user} is left: {done.stderr.strip()}")
                return
            else:
                time.sleep(0.1)

    def begin(self, *words, ready):
        with open(f"{self.folder}/peers.log", "ab") as log:
            process = subprocess.Popen([find(words[0]), *words[1:]], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       preexec_fn=stages.die_with_us)
        self.processes.append(process)
        until(ready, process)
        return process

    def write(self, name, *lines):
        path = f"{self.folder}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        return path

    # ---- OpenSSH and Dropbear ----

    def make_user(self, public_key):
        """Whose shell is dash (root's may be bash, which reads its start-up files for each command)."""
        home = f"{self.folder}/home"
        keys = f"{home}/.ssh/authorized_keys"
        if self.user is None:
            name = f"afarbench{os.getpid() % 100000}"
            # A password that nothing fits: without one the account would be locked.
            stages.run("useradd", "-M", "-s", "/bin/dash", "-d", home, "-p", "*", name)
            self.user = name
            os.makedirs(os.path.dirname(keys))
        with open(keys, "a", encoding="utf-8") as file:
            file.write(public_key)
        stages.run("chown", "-R", self.user, home)
        stages.run("chmod", "-R", "go=", home)

    def ssh_config(self, port):
        return ("-f", self.write(f"sshd_config.{port}", f"Port {port}", "ListenAddress 127.0.0.1",
                                 f"HostKey {self.folder}/ssh_host", "PidFile none", "UsePAM no", "StrictModes no",
                                 "MaxSessions 200", "MaxStartups 200",
                                 "Subsystem sftp internal-sftp"))

    def begin_ssh(self):
        port, mux = free_port(), f"{self.folder}/mux"
        for name in ("ssh_host", "ssh_id"):
            stages.run("ssh-keygen", "-q", *ED25519, "-N", "", "-f", f"{self.folder}/{name}")
        with open(f"{self.folder}/ssh_id.pub", encoding="utf-8") as file:
            self.make_user(file.read())
        os.makedirs("/run/sshd", exist_ok=True)
        self.sshd = self.begin("sshd", "-D", "-e", *self.ssh_config(port), ready=lambda: listens(port))
        self.ssh_words = ["ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                          "-o", "LogLevel=ERROR", "-i", f"{self.folder}/ssh_id", "-p", str(port),
                          f"{self.user}@127.0.0.1"]
        self.ssh_port = port
        self.begin("ssh", "-M", "-S", mux, "-N", *self.ssh_words[1:], ready=lambda: os.path.exists(mux))
        self.programs["ssh, cold"] = [*self.ssh_words, "true"]
        self.programs["ssh mux"] = ["ssh", "-F", "none", "-S", mux, self.ssh_words[-1], "true"]

    def ssh_through(self, port, cipher):
        """ssh_words by another port, with that cipher."""
        words = [str(port) if word == str(self.ssh_port) else word for word in self.ssh_words]
        return [*words[:1], "-c", cipher, *words[1:]]

    def dropbear_words(self, port):
        return ("-F", "-E", "-r", f"{self.folder}/dropbear_host", "-p", f"127.0.0.1:{port}", "-P",
                f"{self.folder}/dropbear.{port}.pid")

    def begin_dropbear(self):
        port, key = free_port(), f"{self.folder}/dropbear_id"
        for path in (f"{self.folder}/dropbear_host", key):
            stages.run("dropbearkey", *ED25519, "-f", path)
        public = stages.run("dropbearkey", "-y", "-f", key)
        self.make_user(next(line for line in public.splitlines(True) if line.startswith("ssh-")))
        self.begin("dropbear", *self.dropbear_words(port), ready=lambda: listens(port))
        self.programs["dbclient, cold"] = ["dbclient", "-y", "-y", "-i", key, "-p", str(port),
                                           f"{self.user}@127.0.0.1", "true"]

    def server_words(self, port):
        """Servers like those that run, for another port."""
        words = {}
        if self.sshd:
            words["sshd"] = [find("sshd"), "-D", "-e", *self.ssh_config(port)]
        if "dbclient, cold" in self.programs:
            words["dropbear"] = [find("dropbear"), *self.dropbear_words(port)]
        return words

    # ---- socat, ncat and NRPE ----

    def socat_tls(self, name):
        return ",".join([f"cert={self.certs}/{name}.pem", f"key={self.certs}/{name}-key.pem",
                         f"cafile={self.certs}/ca.pem", "verify=1"])

    def begin_socat(self):
        port = free_port()
        self.begin("socat", f"OPENSSL-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr," + self.socat_tls("server"),
                   "EXEC:/bin/true", ready=lambda: listens(port))
        # One way only: else the end of /dev/null as its input would be its end, with nothing having been run.
        self.programs["socat TLS, cold"] = ["socat", "-u", f"OPENSSL:localhost:{port}," + self.socat_tls("client"), "-"]

    def begin_ncat(self):
        """It cannot ask for a client's certificate: less work than all others have."""
        port = free_port()
        self.begin("ncat", "-l", "-k", "--ssl", "--ssl-cert", f"{self.certs}/server.pem", "--ssl-key",
                   f"{self.certs}/server-key.pem", "--exec", "/bin/true", "127.0.0.1", str(port),
                   ready=lambda: listens(port))
        self.programs["ncat TLS, server's certificate only"] = [
            "ncat", "--recv-only", "--ssl-verify", "--ssl-trustfile", f"{self.certs}/ca.pem", "localhost", str(port)]

    def begin_nrpe(self):
        """With certificates on both sides, as Afar has them."""
        port = free_port()
        config = self.write("nrpe.cfg", f"server_port={port}", "server_address=127.0.0.1", "allowed_hosts=127.0.0.1",
                            "nrpe_user=nobody", "nrpe_group=nogroup", f"pid_file={self.folder}/nrpe.pid",
                            f"log_file={self.folder}/peers.log", "ssl_version=TLSv1.2+", "ssl_use_adh=0",
                            "ssl_client_certs=2", f"ssl_cacert_file={self.certs}/ca.pem",
                            f"ssl_cert_file={self.certs}/server.pem",
                            f"ssl_privatekey_file={self.certs}/server-key.pem",
                            "command[true]=/bin/echo ok")  # it has to say something
        self.begin("nrpe", "-c", config, "-f", ready=lambda: listens(port))
        self.programs["check_nrpe, cold"] = [find("check_nrpe"), "-H", "127.0.0.1", "-p", str(port), "-A",
                                             f"{self.certs}/ca.pem", "-C", f"{self.certs}/client.pem", "-K",
                                             f"{self.certs}/client-key.pem", "-d", "0", "-c", "true"]

    def socat_streams(self, size):
        """Shell lines by name that take and give `size` bytes, with listeners of their own."""
        lines = {}
        if "socat TLS, cold" not in self.programs:
            return lines
        mine, theirs = (f",{self.socat_tls(name)}" for name in ("client", "server"))
        socat = "socat -b 131072"  # as fast as it gets: its default, 8 KiB, is slower by half
        for name, listen, connect in (
                ("socat plain", "TCP-LISTEN:{}", "TCP:127.0.0.1:{}"),
                ("socat TLS", "OPENSSL-LISTEN:{}" + theirs, "OPENSSL:localhost:{}" + mine)):
            give, take = free_port(), free_port()
            options = ",bind=127.0.0.1,fork,reuseaddr"
            self.begin(*socat.split(), "-U", listen.format(give) + options, f"EXEC:head -c {size} /dev/zero",
                       ready=lambda port=give: listens(port))
            self.begin(*socat.split(), "-u", listen.format(take) + options, "SYSTEM:cat >/dev/null",
                       ready=lambda port=take: listens(port))
            lines[name] = (f"{socat} -u {connect.format(give)} - >/dev/null",
                           f"head -c {size} /dev/zero | {socat} -u - {connect.format(take)}")
        return lines

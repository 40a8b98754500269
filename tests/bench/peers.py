"""What a user would pick instead of Afar, each with a configuration, keys and a port of its own on loopback,
and ended by its pid."""
import os
import pwd
import shutil
import socket
import subprocess
import time

DEADLINE_S = 20


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process):
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.01)
    raise RuntimeError(f"{process.args[0]} does not listen")


def have(*programs):
    folders = os.environ["PATH"] + ":/usr/sbin:/sbin:/usr/lib/nagios/plugins"
    return all(shutil.which(program, path=folders) for program in programs)


class Peers:
    """A peer that is not installed is left out; `missing` says which."""

    def __init__(self, folder, certs):
        self.folder, self.certs = folder, certs
        self.processes, self.missing, self.cold, self.ports = [], [], {}, {}
        self.user = None
        self.mux = None
        os.chmod(folder, 0o755)
        try:
            for name, start, programs in (("ssh", self.ssh, ["sshd", "ssh"]),
                                          ("dbclient", self.dropbear, ["dropbear", "dbclient"]),
                                          ("socat TLS", self.socat, ["socat"]),
                                          ("check_nrpe", self.nrpe, ["nrpe", "check_nrpe"])):
                if not have(*programs):
                    self.missing.append(f"{name} (not installed: make deps-bench)")
                elif name in ("ssh", "dbclient") and os.geteuid() != 0:
                    self.missing.append(f"{name} (its server needs root)")
                else:
                    start()
        except Exception:
            self.close()
            raise

    def spawn(self, *words, **more):
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=open(os.path.join(self.folder, "peers.log"), "ab"), **more)
        self.processes.append(process)
        return process

    def close(self):
        if self.mux:
            subprocess.run(["ssh", "-S", self.mux, "-O", "exit", "x"], capture_output=True, check=False)
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()
        if self.user:
            subprocess.run(["userdel", "-r", self.user], capture_output=True, check=False)

    def make_user(self):
        """Whose shell is dash: bash would read its start-up files for each command."""
        if self.user is None:
            self.user = f"afarbench{os.getpid() % 100000}"
            subprocess.run(["useradd", "-m", "-s", "/bin/dash", "-d", f"{self.folder}/home", self.user], check=True,
                           capture_output=True)
            subprocess.run(["usermod", "-p", "*", self.user], check=True, capture_output=True)
            key = f"{self.folder}/id"
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
            home = pwd.getpwnam(self.user).pw_dir
            os.makedirs(f"{home}/.ssh")
            shutil.copy(f"{key}.pub", f"{home}/.ssh/authorized_keys")
            subprocess.run(["chown", "-R", self.user, home], check=True)
            subprocess.run(["chmod", "700", home, f"{home}/.ssh"], check=True)

    def ssh(self):
        self.make_user()
        port = free_port()
        key = f"{self.folder}/ssh_host"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        os.makedirs("/run/sshd", exist_ok=True)
        config = f"{self.folder}/sshd_config"
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"Port {port}\nListenAddress 127.0.0.1\nHostKey {key}\nPidFile none\nUsePAM no\n"
                       "StrictModes no\nMaxSessions 100\nMaxStartups 200\nPrintMotd no\n")
        wait_for(port, self.spawn(shutil.which("sshd", path="/usr/sbin"), "-D", "-f", config))
        self.ports["ssh"] = port
        self.base = ["ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                     "-o", "LogLevel=ERROR", "-i", f"{self.folder}/id", "-p", str(port), f"{self.user}@127.0.0.1"]
        self.mux = f"{self.folder}/mux"
        subprocess.run([*self.base[:1], "-M", "-S", self.mux, "-o", "ControlPersist=yes", "-N", "-f", *self.base[1:]],
                       check=True, stdout=subprocess.DEVNULL)
        self.cold["ssh cold"] = [*self.base, "true"]
        self.cold["ssh warm mux"] = ["ssh", "-F", "none", "-S", self.mux, *self.base[3:], "true"]

    def dropbear(self):
        self.make_user()
        port = free_port()
        keys = [f"{self.folder}/db_host", f"{self.folder}/db_id"]
        for key in keys:
            subprocess.run(["dropbearkey", "-t", "ed25519", "-f", key], check=True, capture_output=True)
        public = subprocess.run(["dropbearkey", "-y", "-f", keys[1]], check=True, capture_output=True, text=True).stdout
        home = pwd.getpwnam(self.user).pw_dir
        with open(f"{home}/.ssh/authorized_keys", "a", encoding="utf-8") as file:
            file.write(next(line for line in public.splitlines() if line.startswith("ssh-")) + "\n")
        wait_for(port, self.spawn(shutil.which("dropbear", path="/usr/sbin:/usr/bin"), "-F", "-r", keys[0], "-p",
                                  f"127.0.0.1:{port}", "-P", f"{self.folder}/db.pid"))
        self.ports["dropbear"] = port
        self.cold["dbclient cold"] = ["dbclient", "-y", "-y", "-i", keys[1], "-p", str(port), f"{self.user}@127.0.0.1",
                                      "true"]

    def socat(self):
        port = free_port()
        server, client = ([f"cert={self.certs}/{name}.pem", f"key={self.certs}/{name}-key.pem",
                           f"cafile={self.certs}/ca.pem"] for name in ("server", "client"))
        wait_for(port, self.spawn("socat", ",".join([f"OPENSSL-LISTEN:{port}", "bind=127.0.0.1", "fork", "reuseaddr",
                                                     "verify=1", *server]), "EXEC:/bin/true"))
        self.cold["socat TLS"] = ["socat", "-", ",".join([f"OPENSSL:localhost:{port}", *client])]

    def nrpe(self):
        port = free_port()
        config = f"{self.folder}/nrpe.cfg"
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"server_port={port}\nserver_address=127.0.0.1\nallowed_hosts=127.0.0.1\nnrpe_user=nobody\n"
                       f"nrpe_group=nogroup\npid_file={self.folder}/nrpe.pid\ncommand[true]=/bin/echo ok\n"
                       "log_file=/dev/null\n")
        wait_for(port, self.spawn(shutil.which("nrpe", path="/usr/sbin"), "-c", config, "-f"))
        plugin = shutil.which("check_nrpe", path=os.environ["PATH"] + ":/usr/lib/nagios/plugins")
        self.cold["check_nrpe"] = [plugin, "-H", "127.0.0.1", "-p", str(port), "-c", "true"]

    # ---- streams: shell lines for `size` bytes ----

    def stream_lines(self, size):
        lines = {}
        if "ssh" in self.ports:
            words = " ".join(self.base)
            for cipher in ("aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"):
                with_cipher = words.replace("ssh -F", f"ssh -c {cipher} -F", 1)
                lines[f"ssh {cipher.split('@')[0]}"] = (f"{with_cipher} head -c {size} /dev/zero >/dev/null",
                                                        f"head -c {size} /dev/zero | {with_cipher} 'cat >/dev/null'")
        return lines

    def socat_streams(self, size):
        """Listeners of their own: a connection gives or takes `size` bytes."""
        if not have("socat"):
            return {}
        lines = {}
        secure = ",".join([f"cert={self.certs}/server.pem", f"key={self.certs}/server-key.pem",
                           f"cafile={self.certs}/ca.pem"])
        mine = ",".join([f"cert={self.certs}/client.pem", f"key={self.certs}/client-key.pem",
                         f"cafile={self.certs}/ca.pem"])
        for name, listen, connect in (("socat plain", "TCP-LISTEN:{}", "TCP:localhost:{}"),
                                      ("socat TLS", "OPENSSL-LISTEN:{}," + secure, "OPENSSL:localhost:{}," + mine)):
            give, take = free_port(), free_port()
            options = ",bind=127.0.0.1,fork,reuseaddr"
            wait_for(give, self.spawn("socat", "-b", "65536", "-U", listen.format(give) + options,
                                      f"EXEC:head -c {size} /dev/zero"))
            wait_for(take, self.spawn("socat", "-b", "65536", "-u", listen.format(take) + options, "OPEN:/dev/null"))
            lines[name] = (f"socat -b 65536 -u {connect.format(give)} - >/dev/null",
                           f"head -c {size} /dev/zero | socat -b 65536 -u - {connect.format(take)}")
        return lines

#!/usr/bin/python3
"""Other people's SFTP clients against a real afard. Usage: tests/files/clients.py BUILD [CASE...]

Each case runs over tcp without rules, and over TLS with rules: as root, as the user nobody and
inside of what the rule lists. A case whose program is not here is skipped, and says so.
"""
import filecmp
import hashlib
import os
import pathlib
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from common import CREDENTIALS, SOURCE, Afard, Skip, make_tree, need, run, same

RULES = """
[allow files]
client = any
may = files
files = write {root}
"""


CASE_S = 120  # for one case; then it fails


CASE_S = 240  # for one case; then it fails


class Server:
    """An afard, its certificates and a folder that is served."""

    def __init__(self, build, work, tls):
        self.work = pathlib.Path(work)
        self.served = self.work / "served"
        self.served.mkdir()
        self.local = self.work / "local"
        self.local.mkdir()
        make_tree(self.local)
        self.tls = tls
        self.build = build
        self.environment = dict(os.environ)
        words = self.prepare_tls(work) if tls else ["--listen", "tcp://127.0.0.1:0"]
        self.afard = Afard(build, *words)
        self.url = self.afard.url
        self.afar = f"{build}/bin/afar sftp {self.url}"
        # Clients that add the arguments of ssh(1).
        self.script = self.work / "as-ssh"
        self.script.write_text(f"#!/bin/sh\nexec {self.afar}\n")
        self.script.chmod(0o755)

    def prepare_tls(self, work):
        certs = self.work / "certs"
        run(SOURCE / "certs/make-certs", certs)
        self.environment |= {name: f"{certs}/{file}" for name, file in CREDENTIALS.items()}
        os.environ.update(self.environment)
        rules = RULES.format(root=self.served)
        if os.geteuid() == 0:
            rules += "user = nobody\n"
            os.chmod(work, 0o755)
            shutil.chown(self.served, "nobody")
        (self.work / "afard.conf").write_text(
            f"[server]\nlisten = tls://127.0.0.1:0\ntls_cert = {certs}/server.pem\n"
            f"tls_key = {certs}/server-key.pem\ntls_client_ca = {certs}/ca.pem\n{rules}")
        return ["-c", self.work / "afard.conf"]

    def place(self, name):
        """A new folder to work in, on the server."""
        path = self.served / name
        path.mkdir()
        if self.served.owner() != path.owner():
            shutil.chown(path, self.served.owner())
        return path


# ---- the cases ----------------------------------------------------------------------------------


def openssh(server):
    need("sftp", "scp")
    far = server.place("openssh")
    back = server.work / "openssh-back"
    run("sftp", "-q", "-b", "-", "-D", server.afar,
        input=f"put -rp {server.local} {far}/t\nget -rp {far}/t {back}\n")
    same(server.local, back)
    run("scp", "-q", "-s", "-r", "-D", server.script, server.local, f"any:{far}/scp")
    same(server.local, far / "scp")
    # A transfer that was cut goes on.
    half = server.work / "half"
    whole = server.local / f"size {(3 << 20) + 7}"
    half.write_bytes(whole.read_bytes()[:1 << 20])
    run("sftp", "-q", "-b", "-", "-D", server.afar, input=f'reget "{far}/t/{whole.name}" {half}\n')
    assert filecmp.cmp(half, whole, shallow=False)


def lftp(server):
    need("lftp")
    far = server.place("lftp")
    back = server.work / "lftp-back"
    run("lftp", "-e", f"set sftp:connect-program {server.script}; set net:max-retries 1;"
        f"open sftp://any:x@far; mirror -R {server.local} {far}/t; mirror {far}/t {back}; exit 0")
    same(server.local, back)


def paramiko_client(server):
    try:
        import paramiko
    except ImportError as error:
        raise Skip("there is no paramiko for this python3") from error

    class Channel:
        """What SFTPClient wants of a channel, over a socket."""

        def __init__(self, sock):
            self.sock = sock

        def get_name(self):
            return "afar"

        def recv_ready(self):
            return bool(select.select([self.sock], [], [], 0)[0])

        def __getattr__(self, name):
            return getattr(self.sock, name)

    ours, theirs = socket.socketpair()
    with subprocess.Popen(server.afar.split(), stdin=theirs, stdout=theirs) as process, ours:
        theirs.close()
        client = paramiko.SFTPClient(Channel(ours))
        far = str(server.place("paramiko"))
        data = random.Random(2).randbytes(5_000_000)
        with client.open(f"{far}/big", "wb") as file:
            file.set_pipelined(True)
            file.write(data)
        with client.open(f"{far}/big", "rb") as file:
            assert file.check("sha256", 0, 0) == hashlib.sha256(data).digest()
            file.prefetch()
            assert file.read() == data
            file.seek(1234567)
            assert file.read(1000) == data[1234567:1235567]
        with client.open(f"{far}/big", "ab") as file:
            file.write(b"more")
        assert client.stat(f"{far}/big").st_size == len(data) + 4
        client.mkdir(f"{far}/d")
        client.posix_rename(f"{far}/big", f"{far}/d/b")
        assert client.listdir(f"{far}/d") == ["b"]
        client.symlink("b", f"{far}/d/l")
        assert client.readlink(f"{far}/d/l") == "b"
        client.truncate(f"{far}/d/b", 10)
        client.chmod(f"{far}/d/b", 0o640)
        info = client.stat(f"{far}/d/l")
        assert info.st_size == 10 and info.st_mode & 0o7777 == 0o640
        ours.shutdown(socket.SHUT_WR)
        assert process.wait(20) == 0


def restic(server):
    need("restic")
    far = server.place("restic")
    words = ["restic", "-q", "-o", f"sftp.command={server.afar}", "-r", f"sftp::{far}/r",
             "--cache-dir", server.work / "cache"]
    environment = server.environment | {"RESTIC_PASSWORD": "x"}
    run(*words, "init", env=environment)
    run(*words, "backup", server.local, env=environment)
    run(*words, "check", "--read-data", env=environment)
    back = server.work / "restic-back"
    run(*words, "restore", "latest", "--target", back, env=environment)
    same(server.local, f"{back}/{server.local}")


def mount(server, name):
    need("sshfs", "fusermount3")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise Skip("no /dev/fuse")
    here = server.work / f"mount-{name}"
    here.mkdir()
    try:
        run("sshfs", "-o", f"ssh_command={server.script}", f"far:{server.place(name)}", here)
    except AssertionError as error:
        raise Skip(f"sshfs cannot mount here: {error}") from error
    return here


def unmount(here):
    for _ in range(50):
        if subprocess.run(["fusermount3", "-u", here], capture_output=True,
                          check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError(f"{here} stays mounted")


def sshfs(server):
    here = mount(server, "sshfs")
    try:
        shutil.copytree(server.local, here / "t")
        same(server.local, here / "t")
        shuffle(here / "shuffled")
        if shutil.which("git"):
            run("git", "clone", "-q", "--no-hardlinks", SOURCE, here / "clone")
            run("git", "-c", "safe.directory=*", "-C", here / "clone", "fsck", "--full")
        if shutil.which("fio"):
            run("fio", "--name=verify", f"--directory={here}", "--rw=randwrite", "--bs=4k-64k",
                "--size=16m", "--verify=sha256", "--do_verify=1", "--verify_fatal=1",
                "--fallocate=none", "--end_fsync=1", cwd=server.work)
    finally:
        unmount(here)


def shuffle(path):
    """Writes, truncates and reads at random places, compared with what should be there."""
    dice = random.Random(3)
    want = bytearray()
    with open(path, "w+b", buffering=0) as file:
        for _ in range(400):
            at = dice.randrange(300_000)
            size = dice.randrange(1, 70_000)
            action = dice.random()
            if action < 0.5:
                data = dice.randbytes(size)
                want.extend(bytes(max(0, at + size - len(want))))
                want[at:at + size] = data
                file.seek(at)
                assert file.write(data) == size
            elif action < 0.6:
                del want[at:]
                want.extend(bytes(at - len(want)))
                file.truncate(at)
            else:
                file.seek(at)
                assert file.read(size) == bytes(want[at:at + size]), (at, size)
    assert path.read_bytes() == want


def rclone(server):
    need("rclone")
    if "--sftp-ssh" not in run("rclone", "help", "flags"):
        raise Skip("this rclone is older than 1.62 and has no --sftp-ssh")
    far = server.place("rclone")
    back = server.work / "rclone-back"
    words = ["rclone", "--config", "/dev/null", "--sftp-ssh", server.script]
    run(*words, "sync", server.local, f":sftp:{far}/t")
    run(*words, "check", server.local, f":sftp:{far}/t")
    run(*words, "sync", f":sftp:{far}/t", back)
    same(server.local, back)


PERL = r"""
use strict; use warnings; use Net::SFTP::Foreign;
my ($afar, $local, $far, $back) = @ARGV;
my $sftp = Net::SFTP::Foreign->new(open2_cmd => [split / /, $afar]);
sub check { die "$_[0]: " . $sftp->error . "\n" if $sftp->error }
check("open");
$sftp->rput($local, "$far/t"); check("rput");
$sftp->rget("$far/t", $back); check("rget");
$sftp->put_content("hello", "$far/c"); check("put_content");
die "get_content" unless $sftp->get_content("$far/c") eq "hello";
$sftp->rename("$far/c", "$far/t/size 0", overwrite => 1); check("rename");
$sftp->symlink("$far/l", "t"); check("symlink");
die "readlink" unless $sftp->readlink("$far/l") eq "t";
die "find" unless $sftp->find("$far/l/", follow_links => 1) > 12;
my $file = $sftp->open("$far/t/size 1048576"); check("open");
seek($file, 1000000, 0); read($file, my $data, 10); die "read" unless length $data == 10;
close $file;
$sftp->rremove("$far/t"); check("rremove");
"""


def perl(server):
    need("perl")
    if subprocess.run(["perl", "-MNet::SFTP::Foreign", "-e", "1"], capture_output=True,
                      check=False).returncode != 0:
        raise Skip("there is no Net::SFTP::Foreign (libnet-sftp-foreign-perl)")
    back = server.work / "perl-back"
    plain = server.work / "perl"  # it encodes names in UTF-8 once more on their way
    shutil.copytree(server.local, plain, ignore=shutil.ignore_patterns("ü"))
    run("perl", "-e", PERL, server.afar, plain, server.place("perl"), back)
    same(plain, back)


# What these want and we do not: a setuid bit, /dev/zero read by SFTP, an absolute link in what a rule
# lists. The last one compares how two servers print names, and fails between OpenSSH's two as well.
NOT_OURS = {"TestClientSetuid", "TestClientWriteToROFile", "TestClientStatLink",
            "TestServerCompareSubsystems"}
ROUGH = "TestServerRoughDisconnect"


def pkg_sftp(server):
    """The integration tests of Go's pkg/sftp, as Debian packages them."""
    need("go")
    package = pathlib.Path("/usr/share/gocode/src/github.com/pkg/sftp")
    if not package.is_dir():
        raise Skip("there is no golang-github-pkg-sftp-dev")
    if server.tls:
        raise Skip("its tests write where no rule lets them")
    program = server.work / "pkg-sftp"
    environment = server.environment | {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
                                        "GOCACHE": str(server.work / "go")}
    run("go", "test", "-c", "-o", program, "github.com/pkg/sftp", env=environment)
    conf = server.work / "read-only.conf"
    conf.write_text("[server]\nlisten = tcp://127.0.0.1:0\n"
                    "[allow x]\nclient = any\nmay = files\nfiles = read /\n")
    read_only = Afard(server.build, "-c", conf)
    # -R is OpenSSH's server's option for this.
    script = server.work / "as-sftp-server"
    script.write_text(f"""#!/bin/sh
case " $* " in *' -R '*) url={read_only.url} ;; *) url={server.url} ;; esac
exec {server.build}/bin/afar sftp --cwd "$PWD" "$url"
""")
    script.chmod(0o755)
    done = subprocess.run([program, "-test.timeout", "200s", "-integration", "-sftp", script], cwd=package,
                          capture_output=True, text=True, timeout=240, check=False, env=environment)
    read_only.close()
    failed = {line.split()[2] for line in done.stdout.splitlines() if line.startswith("--- FAIL")}
    failed = {name for name in failed - NOT_OURS if not name.startswith(ROUGH)}
    assert "panic:" not in done.stdout and not failed, f"{failed}\n{done.stdout[-3000:]}"
    assert "FAIL" in done.stdout or "PASS" in done.stdout, done.stderr[-2000:]


CASES = [openssh, lftp, paramiko_client, restic, rclone, perl, pkg_sftp, sshfs]


def too_long(_number, _frame):
    raise TimeoutError(f"not done within {CASE_S} s")


def main():
    signal.signal(signal.SIGALRM, too_long)
    build = pathlib.Path(sys.argv[1]).resolve()
    wanted = sys.argv[2:]
    failed = 0
    for tls in (False, True):
        with tempfile.TemporaryDirectory(prefix="afar-clients-") as work:
            server = Server(build, work, tls)
            for case in CASES:
                if wanted and case.__name__ not in wanted:
                    continue
                name = f"{case.__name__} over {'TLS, with rules' if tls else 'tcp'}"
                began = time.monotonic()
                signal.alarm(CASE_S)
                try:
                    case(server)
                    print(f"ok       {name} ({time.monotonic() - began:.1f} s)")
                except Skip as why:
                    print(f"skipped  {name}: {why}")
                except Exception as error:  # the next case tells something too
                    failed += 1
                    print(f"FAILED   {name}: {error!r}")
            signal.alarm(0)
            server.afard.close()
    return 1 if failed else 0


sys.exit(main())

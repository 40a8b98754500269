"""podman and buildah with a storage of their own under build/containers, which outlives the run so that
images need not be made again; nothing of the machine's own containers is touched."""
import contextlib
import ctypes
import fcntl
import importlib.util
import json
import os
import shutil
import socket
import struct
import subprocess
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CACHE = os.path.join(ROOT, "build", "containers")
TOOLS = ["podman", "buildah", "runc", "netavark", "debootstrap", "busybox", "openssl"]
DEBIAN = "docker.io/library/debian:bookworm-slim"
ALPINE = "docker.io/library/alpine:3"
MODULES = ["yaml", "kubernetes"]
LIMIT_S = 1500  # for making an image
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP = 0x40000000, 0x8914, 1  # unshare(2), netdevice(7)


class Failed(Exception):
    """A command has failed; what it said."""


def run(*words, check=True, limit_s=120, **more):
    """Runs a command to its end; what it printed, as a CompletedProcess."""
    if "input" not in more:
        more["stdin"] = subprocess.DEVNULL
    done = subprocess.run(words, capture_output=True, text=True, timeout=limit_s, check=False, **more)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(words)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def enter(call, *arguments):
    if call(*arguments) != 0:
        raise Failed(f"a network namespace: {os.strerror(ctypes.get_errno())}")


def why_not():
    """Why there can be no containers here, or None."""
    folders = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/lib/podman"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=folders) is None]
    missing += [f"Python's {name}" for name in MODULES if importlib.util.find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed (tests/deps containers)"
    if os.geteuid() != 0:
        return "only root can make containers without a set-up of subordinate ids"
    return None


class Engine:
    """Owns its containers, networks and a folder for temporary files; closes all of them."""

    def __init__(self):
        os.makedirs(CACHE, exist_ok=True)
        self.folder = tempfile.mkdtemp(prefix="afar-containers-")
        self.containers = []
        self.networks = []
        with open("/proc/filesystems", encoding="utf-8") as file:
            driver = "overlay" if "\toverlay\n" in file.read() else "vfs"
        self.write("storage.conf", f'[storage]\ndriver = "{driver}"\ngraphroot = "{CACHE}/storage"\n'
                                   f'runroot = "{self.folder}/run"\n')
        # The limits that podman would set by itself may be more than a sandbox allows.
        self.write("containers.conf",
                   '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
                   'log_driver = "k8s-file"\n'
                   '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\n'
                   'events_logger = "file"\n'
                   f'[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "{self.folder}/networks"\n')
        os.environ["CONTAINERS_STORAGE_CONF"] = os.path.join(self.folder, "storage.conf")
        os.environ["CONTAINERS_CONF"] = os.path.join(self.folder, "containers.conf")

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def close(self):
        for name in self.containers:
            run("podman", "rm", "-f", "-t", "0", name, check=False)
        for name in self.networks:
            run("podman", "network", "rm", "-f", name, check=False)
        run("umount", f"{CACHE}/storage/overlay", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- images ----

    def has_image(self, name):
        return run("podman", "image", "exists", name, check=False).returncode == 0

    def import_folder(self, folder, name):
        archive = os.path.join(self.folder, "root.tar")
        run("tar", "-C", folder, "-cf", archive, ".")
        run("podman", "import", "-q", archive, name)
        os.unlink(archive)

    def make_debian(self):
        """debian:bookworm-slim, as debootstrap makes it, with this machine's package sources."""
        if self.has_image(DEBIAN):
            return
        root = os.path.join(self.folder, "debian")
        run("debootstrap", "--variant=minbase", "bookworm", root, limit_s=LIMIT_S)
        for name in ("debian.sources", "debian.list"):
            source = f"/etc/apt/sources.list.d/{name}"
            if os.path.exists(source):
                shutil.copy(source, f"{root}/etc/apt/sources.list.d/")
                open(f"{root}/etc/apt/sources.list", "w", encoding="utf-8").close()
        self.import_folder(root, DEBIAN)
        shutil.rmtree(root)

    def make_alpine(self):
        """A root with busybox and nothing else, as Alpine is but for its package manager."""
        if self.has_image(ALPINE):
            return
        root = os.path.join(self.folder, "alpine")
        os.makedirs(f"{root}/bin")
        os.makedirs(f"{root}/tmp")
        os.makedirs(f"{root}/etc")
        shutil.copy(shutil.which("busybox"), f"{root}/bin/busybox")
        for applet in run("busybox", "--list").stdout.split():
            if applet != "busybox":
                os.symlink("busybox", f"{root}/bin/{applet}")
        self.import_folder(root, ALPINE)

    def build(self, target, name, *arguments):
        """The Dockerfile's target; the layers before it are kept from one to the next."""
        run("buildah", "bud", "-q", "--isolation", "chroot", "--layers", "--format", "docker", "--target",
            target, "-t", name, *arguments, "-f", "docker/Dockerfile", ".", cwd=ROOT, limit_s=LIMIT_S)

    def image_config(self, name):
        return json.loads(run("podman", "image", "inspect", name).stdout)[0]

    def image_files(self, name):
        """The names of all files in it."""
        archive = os.path.join(self.folder, "image.tar")
        made = run("podman", "create", name, "unused").stdout.strip()
        run("podman", "export", "-o", archive, made)
        run("podman", "rm", made)
        with tarfile.open(archive) as tar:
            names = [entry.name for entry in tar if not entry.isdir()]
        os.unlink(archive)
        return names

    # ---- containers ----

    def leave_network(self):
        """For a network namespace of our own, which ends with us: what podman sets up in it (bridges, addresses,
        rules that each packet has to pass) is no business of this machine's. Images cannot be made any more."""
        self.machines_network = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        enter(LIBC.unshare, CLONE_NEWNET)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))

    @contextlib.contextmanager
    def in_machines_network(self):
        """With --network=host, for what has to fetch something."""
        ours = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        enter(LIBC.setns, self.machines_network, CLONE_NEWNET)
        try:
            yield
        finally:
            enter(LIBC.setns, ours, CLONE_NEWNET)
            os.close(ours)

    def network(self, name):
        self.networks.append(name)
        run("podman", "network", "create", name)

    def start(self, name, image, *words, options=()):
        """One that goes on in the background."""
        self.containers.append(name)
        run("podman", "run", "-d", "--name", name, "--hostname", name, *options, image, *words)

    def stop(self, name):
        """As `docker stop`: its own signal, then KILL after ten seconds."""
        return run("podman", "stop", "-t", "10", name)

    def remove(self, name):
        run("podman", "rm", "-f", "-t", "0", name)
        self.containers.remove(name)

    def state(self, name):
        return json.loads(run("podman", "inspect", name).stdout)[0]["State"]

    def logs(self, name):
        done = run("podman", "logs", name, check=False)
        return done.stdout + done.stderr

    def address(self, name):
        networks = json.loads(run("podman", "inspect", name).stdout)[0]["NetworkSettings"]["Networks"]
        return next(iter(networks.values()))["IPAddress"]

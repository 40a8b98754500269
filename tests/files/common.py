"""What the programs of this folder share: servers, runs, trees."""
import filecmp
import os
import pathlib
import random
import shutil
import subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[2]
CREDENTIALS = {"AFAR_CA": "ca.pem", "AFAR_CERT": "client.pem", "AFAR_KEY": "client-key.pem"}


class Skip(Exception):
    """The case cannot run here."""


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Skip(f"there is no {program}")


def run(*words, timeout=240, **more):
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False, **more)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}: {done.returncode}\n"
                             f"{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def same(left, right):
    compared = filecmp.dircmp(left, right)
    assert not (compared.left_only or compared.right_only or compared.diff_files
                or compared.funny_files), (compared.left_only, compared.right_only,
                                           compared.diff_files)
    for name in compared.common_dirs:
        same(os.path.join(left, name), os.path.join(right, name))


def make_tree(top):
    """Sizes about the edges of packets, names that need care, some depth."""
    dice = random.Random(1)
    for size in (0, 1, 32767, 32768, 65536, 261119, 261120, 261121, 1 << 20, (3 << 20) + 7):
        (top / f"size {size}").write_bytes(dice.randbytes(size))
    deep = top / "d e" / "[f]" / "ü"
    deep.mkdir(parents=True)
    for number in range(40):
        (deep / f"n{number}").write_bytes(dice.randbytes(2048))


class Afard:
    """A server: `words` for its command line, or a configuration `file`, for which it is sent HUP."""

    def __init__(self, build, *words, **more):
        self.process = subprocess.Popen(
            [build / "bin/afard", "--print-endpoints", "--log-level", "error", *words],
            stdout=subprocess.PIPE, text=True, **more)
        line = self.process.stdout.readline().split()
        assert line, "afard has not started"
        self.url = line[1]

    def close(self):
        self.process.terminate()
        assert self.process.wait(60) == 0, "afard ended badly"

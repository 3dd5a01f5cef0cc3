"""The bits of the library on an emulated ARM processor, beside those of this machine: equal or different, a line each.

    emulate_aarch64.py [FOLDER] [--networks 2] [--cpu generic] [--seconds 1800]     # Debian: qemu-user-static, debootstrap

FOLDER (_build/aarch64 by default) gets a Debian for ARM, unpacked and not configured, and wheels for it from pip's index; what is there
already is used again. Then one program runs twice: here, and there under qemu's user mode. It trains the first networks of every golden
run, whose results do not depend on how many travel with them (`--networks 20` is all of them), and copies that diverge, takes a
Lyapunov spectrum, draws a million normal numbers, and hashes what comes out. There, tests/test_normal.py runs too. Ends with an error
if something differs, or was not reached in the time given; a second call finds what the compiler made in the first, half a minute to
three for each map.

An emulator shows what the compiler made for ARM and what the system's library returns, not what a processor does: it computes by
the rules of IEEE 754, in software.
"""

import argparse
import os
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON, SUITE = "3.11", "bookworm"  # the Debian that has this Python
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
QUIET = {"TRAJLIB_THREADS": "1", "TRAJLIB_PROGRESS": "off", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
HERE = {"PYTHONPATH": str(ROOT)}
TESTS = "tests/test_normal.py passes"
PROGRAMS = {"qemu-aarch64-static": "qemu-user-static", "debootstrap": "debootstrap"}
NOT_NEEDED = {"matplotlib", "requests", "tqdm"}
PLATFORMS = ("manylinux_2_17_aarch64", "manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")

WORK = """
import hashlib, os, platform, sys, time
import numpy as np

def say(name, make):
    began = time.perf_counter()
    found = hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in make())).hexdigest()
    print(f"{found} {time.perf_counter() - began:.0f} {name}", flush=True)

import trajlib as tl
from trajlib._normal import standard_normal
from trajlib.companion import golden

n = int(sys.argv[1])
print("#", platform.machine(), "Python", platform.python_version(), "numpy", np.__version__, *platform.libc_ver(), flush=True)
say("a million normal numbers", lambda: [standard_normal(np.random.Generator(np.random.PCG64(0)), 10**6)])
net = tl.Perceptron(4, 10, 3)
gd, w0 = tl.GradientDescent(net, tl.iris(split_seed=0), lr=1.0), net.init(n, seed=0)
def diverge():
    run = tl.diverge(gd, w0, radius=1e-8, copies=2, steps=200, seed=1, threads=1)
    return [run.distance, run.loss]
say("diverge: distances and losses, 200 steps", diverge)
def spectrum():
    run = tl.lyapunov_spectrum(gd, w0, 200, k=3, threads=1)
    return [run.exponents, run.final, run.vectors]
say("lyapunov_spectrum: exponents, states and vectors, 200 steps", spectrum)
for run in sorted(golden.load(), key=lambda g: g.run["steps"]):
    gd, w0 = golden.initial(run.run)
    say(f"golden run: {run.name}", lambda: [w0, tl.train(gd, w0[:n], run.run["steps"], record=(), threads=1).final_state])
"""


def missing() -> list[str]:
    """Debian's packages that have to be installed first."""
    return [package for program, package in PROGRAMS.items() if not shutil.which(program, path=PATH)]


def run(*command) -> None:
    done = subprocess.run(
        [str(part) for part in command], env=os.environ | {"PATH": PATH}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command[:6]))} ... failed:\n{(done.stdout + done.stderr)[-1500:]}")


def system(root: Path) -> None:
    """Debian's packages for Python, unpacked: nothing in them has to run for that."""
    if (root / "unpacked").exists():
        return
    if os.geteuid():
        sys.exit("debootstrap needs root, for the first run")
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    include = "--include=python3,libgcc-s1,libstdc++6"
    run("debootstrap", "--arch=arm64", "--foreign", "--variant=minbase", include, SUITE, root)
    for package in sorted((root / "var" / "cache" / "apt" / "archives").glob("*.deb")):
        run("dpkg-deb", "-x", package, root)
        package.unlink()
    (root / "unpacked").touch()


def wheels(folder: Path) -> None:
    """What the library needs, and pytest, in the versions of constraints.txt, unpacked into one folder."""
    if (folder / "site").exists():
        return
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    needed = [name for name in needed if name.partition(">")[0] not in NOT_NEEDED]
    target = ["--python-version", PYTHON, "--implementation", "cp", "--abi", f"cp{PYTHON.replace('.', '')}"]
    target += [part for name in PLATFORMS for part in ("--platform", name)]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "download", "--only-binary", ":all:"]
    run(*pip, *target, "-c", ROOT / "constraints.txt", "-d", folder / "wheels", *needed, "pytest")
    for wheel in sorted((folder / "wheels").glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "site.part")
    (folder / "site.part").rename(folder / "site")


def own(folder: Path, cpu: str) -> tuple[list[str], dict[str, str]]:
    """The interpreter there, and its environment: nothing compiled for another processor is found, nothing is taken from here."""
    root = folder / "root"
    environment = {
        "PATH": "/usr/bin", "HOME": str(folder), "PYTHONPATH": f"{ROOT}:{folder / 'site'}", "NUMBA_CPU_NAME": cpu,
        "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(folder / f"numba-{cpu}"), **QUIET,
    }  # fmt: skip
    return ["qemu-aarch64-static", "-L", str(root), str(root / "usr" / "bin" / f"python{PYTHON}")], environment


def said(command: list[str], environment: dict[str, str], until: float) -> Iterator[tuple[str, str, str]]:
    """Digest, seconds and name of each result as it comes; what is still to come at the time ``until`` is not waited for."""
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        clock = threading.Timer(max(0.0, until - time.monotonic()), process.kill)
        clock.start()
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("#"):
                print(line[2:], end="", flush=True)
            elif line.count(" ") >= 2:
                digest, seconds, name = line.rstrip("\n").split(" ", 2)
                yield digest, seconds, name
        clock.cancel()
        if process.wait() > 0:  # below 0: out of time
            sys.exit(f"{command[0]} ended with an error")


def normal_numbers(command: list[str], environment: dict[str, str], until: float) -> str:
    """The tests of the normal numbers there."""
    cache = f"cache_dir={environment['HOME']}/pytest"  # not the one of the tests here
    tests = ["-m", "pytest", "-q", "-rs", "--noconftest", "-o", cache, "tests/test_normal.py"]
    try:
        done = subprocess.run(
            [*command, *tests], env=environment, cwd=ROOT, capture_output=True, text=True,
            timeout=max(1.0, until - time.monotonic()), check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "not reached"
    print(done.stdout[-2000:] + done.stderr[-2000:], end="")
    return {0: "equal", 1: "different"}.get(done.returncode, "not reached")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "_build" / "aarch64")
    parser.add_argument("--networks", type=int, default=2)
    parser.add_argument(
        "--cpu", default="generic", help="what the compiler there is told: generic, apple-m1, neoverse-v2 ..."
    )
    parser.add_argument("--seconds", type=float, default=1800, help="there, all together")
    given = parser.parse_args()
    if packages := missing():
        sys.exit(f"emulation needs: apt-get install {' '.join(packages)}")
    folder = given.folder.resolve()
    system(folder / "root")
    wheels(folder)
    work = ["-c", WORK, str(given.networks)]
    here = {
        name: digest
        for digest, _, name in said([sys.executable, *work], os.environ | QUIET | HERE, time.monotonic() + 600)
    }
    until = time.monotonic() + given.seconds
    command, environment = own(folder, given.cpu)
    print(f"{(tests := normal_numbers(command, environment, until)):11} {TESTS}", flush=True)
    outcome = {TESTS: tests, **dict.fromkeys(here, "not reached")}
    for digest, seconds, name in said([*command, *work], environment, until):
        outcome[name] = "equal" if here.get(name) == digest else "different"
        print(f"{outcome[name]:11} {name} ({seconds} s)", flush=True)
    for name in (name for name, what in outcome.items() if what == "not reached"):
        print(f"not reached {name}")
    sys.exit(any(what != "equal" for what in outcome.values()))


if __name__ == "__main__":
    main()

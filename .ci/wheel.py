"""The installed wheel, alone: `python -I .ci/wheel.py [VERSION]`, with the interpreter of an environment that has it and no checkout.

The digests of the golden runs have to come out, and what reads the wheel's own data, writes files and goes on after a stop has to
work. Every check is made; what went wrong is listed at the end. (-I: neither the folder of this script nor PYTHONPATH is searched.)
"""

import importlib.metadata
import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path


def comes_from_the_wheel(expected: str | None) -> None:
    import trajlib

    folder = Path(trajlib.__file__).parent
    if not (folder / "_data" / "golden.json").is_file():
        raise AssertionError(
            f"trajlib is imported from {folder}, which has no _data: a checkout, not an installed wheel"
        )
    named = {trajlib.__version__, importlib.metadata.version("trajlib"), expected or trajlib.__version__}
    if len(named) != 1:
        raise AssertionError(
            f"the package, its metadata and the tag name different versions: {', '.join(sorted(named))}"
        )


def golden_digests() -> None:
    from trajlib.companion import golden

    found = golden.check()
    if wrong := [name for name, same in found.items() if not same]:
        raise AssertionError("other bits: " + "; ".join(wrong))
    if not found:
        raise AssertionError("there are no golden runs in the wheel")


def own_data() -> None:
    from trajlib.companion import claims, findings
    from trajlib.companion.bundled import bundled_sweep

    if not claims.load():
        raise AssertionError("there are no claims in the wheel")
    names = sorted(path.stem for path in Path(claims.__file__).parents[1].glob("_data/findings/*.npz"))
    for name in names:
        findings.load(name)  # checks the digest in the manifest
    if not names or any(found := bundled_sweep("mnist/subset").check()):
        raise AssertionError(f"{len(names)} findings; the sweep on MNIST: {found if names else 'not read'}")


def results_travel(folder: Path) -> None:
    import trajlib as tl

    gd = tl.GradientDescent(tl.Perceptron(4, 10, 3), tl.iris(), lr=1.0)
    run = tl.train(gd, gd.network.init(3, seed=0), 50)
    again = tl.load(run.save(folder / "a run with spaces, and a Greek κ"))
    if again.loss.tobytes() != run.loss.tobytes() or again.final.tobytes() != run.final.tobytes():
        raise AssertionError("a result is another one after it was saved and loaded")


def cell(seed, lr):
    import trajlib as tl

    gd = tl.GradientDescent(tl.Perceptron(4, 3, 3), tl.iris(), lr=lr)
    return {"loss": tl.train(gd, gd.network.init(2, seed=seed), 20).loss}


def sweeps_go_on(folder: Path) -> None:
    import trajlib as tl

    grid = {"seed": [0, 1], "lr": [0.1, 1.0]}
    whole = tl.sweep(cell, grid, folder / "whole", version=1)
    tl.sweep(cell, {**grid, "seed": [0]}, folder / "grown", version=1)
    grown = tl.sweep(cell, grid, folder / "grown", version=1)  # the cells that are there are kept
    if any(grown.check()) or grown.array("loss").tobytes() != whole.array("loss").tobytes():
        raise AssertionError("a sweep that went on is not the one that was made at once")


CHECKS = (golden_digests, own_data, results_travel, sweeps_go_on)


def main() -> None:
    print(platform.platform(), platform.machine(), "Python", platform.python_version(), flush=True)
    os.environ.setdefault("TRAJLIB_PROGRESS", "off")
    wrong = []
    with tempfile.TemporaryDirectory() as scratch:
        for check in (comes_from_the_wheel, *CHECKS):
            arguments = {comes_from_the_wheel: (sys.argv[1] if sys.argv[1:] else None,)}.get(check, ())
            if check in (results_travel, sweeps_go_on):
                arguments = (Path(scratch, check.__name__),)
                arguments[0].mkdir()
            try:
                check(*arguments)
            except Exception:
                wrong.append(check.__name__)
                traceback.print_exc()
            print(check.__name__, "FAILED" if check.__name__ in wrong else "ok", flush=True)
    sys.exit("failed: " + ", ".join(wrong) if wrong else None)


if __name__ == "__main__":
    main()

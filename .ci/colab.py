"""The chapters as a reader on Colab has them: `python3 .ci/colab.py [chapter ...]`, in Colab's image or any other environment.

The library is installed beside the packages that are there, which have to stay as they are. Each chapter is executed in a folder
of its own, and its verdicts have to be the published ones.
"""

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
NBCONVERT = [sys.executable, "-m", "nbconvert", "--to=notebook", "--execute", "--inplace"]


def installed() -> set[str]:
    done = subprocess.run([*PIP, "list", "--format=freeze"], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n"))


def install() -> None:
    before = installed()
    # Plainly, as a reader does it: a version that the reader's pip would change is what this has to notice.
    subprocess.run([*PIP, "install", "--quiet", f"{PROJECT}[widgets]"], check=True)
    if changed := before - installed():
        sys.exit("installing the library changed what was there: " + ", ".join(sorted(changed)))
    importlib.invalidate_caches()


def verdicts(notebook: Path) -> dict[str, str]:
    from trajlib.companion import claims

    return {f["claim"]["id"]: f["verdict"] for f in (claims.read(notebook) or {"findings": []})["findings"]}


def fault(published: Path, folder: Path) -> str:
    """What is wrong with the chapter `published`, executed in `folder`; nothing if it comes out as it was published."""
    copy = Path(shutil.copy(published, folder))
    done = subprocess.run([*NBCONVERT, "--ExecutePreprocessor.timeout=1200", copy.name], cwd=folder, check=False)
    if done.returncode:
        return "was not executed to its end"
    was, now = verdicts(published), verdicts(copy)
    other = [f"{claim}: {now.get(claim)}, not {verdict}" for claim, verdict in was.items() if now.get(claim) != verdict]
    return "has other verdicts: " + "; ".join(other) if other else ""


def main() -> None:
    print(os.environ.get("COLAB_RELEASE_TAG", "not Colab's image"), "Python", sys.version, flush=True)
    install()
    work = Path(tempfile.mkdtemp())
    # Two pages show what is not in the library: the benchmarks their measurements, the introduction the chapters' verdicts.
    shutil.copytree(PROJECT / "data" / "benchmarks", work / "data" / "benchmarks")
    chosen = sys.argv[1:] or sorted(page.stem for page in (PROJECT / "book").glob("*.ipynb"))
    faults = []
    for name in chosen:
        folder = work / name
        folder.mkdir()
        if name == "intro":
            for other in (PROJECT / "book").glob("*.ipynb"):
                shutil.copy(other, folder)
        print(f"{name} ...", flush=True)
        if what := fault(PROJECT / "book" / f"{name}.ipynb", folder):
            faults.append(f"{name} {what}")
    sys.exit("\n".join(faults) or None)


if __name__ == "__main__":
    main()

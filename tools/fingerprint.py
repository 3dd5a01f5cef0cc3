"""The SHA-256 over some files and folders, and the removal of what was built from an older state of them.

File times would not do: a checkout sets them to now. Only the standard library is used here.
"""

import argparse
import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path


def fingerprint(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and the contents of `paths`, folders taken with all that lies in them."""
    files = [
        file
        for path in paths
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file() and "__pycache__" not in file.parts
    ]
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.as_posix()}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stamp", type=Path, required=True, help="where the last fingerprint is kept")
    parser.add_argument("--clear", type=Path, nargs="+", default=[], help="removed if it changed")
    parser.add_argument("paths", type=Path, nargs="+", help="files and folders to take the fingerprint of")
    args = parser.parse_args()

    now = fingerprint(args.paths)
    if args.stamp.is_file() and args.stamp.read_text(encoding="utf-8") == now:
        return
    for path in args.clear:
        shutil.rmtree(path, ignore_errors=True)
    args.stamp.parent.mkdir(parents=True, exist_ok=True)
    args.stamp.write_text(now, encoding="utf-8")


if __name__ == "__main__":
    main()

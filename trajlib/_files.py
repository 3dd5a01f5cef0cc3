"""Where the tracked data files are: in the wheel, or in data/ beside the package."""

from __future__ import annotations

from pathlib import Path


def data_file(name: str) -> Path:
    """Path of a data file or folder that travels with the library."""
    here = Path(__file__).parent
    for folder in (here / "_data", here.parent / "data"):
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(
        f"trajlib's data file {name!r} is missing: install trajlib again, from the project and not from a chapter's notebook, "
        "which brings only what that chapter needs"
    )

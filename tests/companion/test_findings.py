"""Committed findings: written once, read with a check of what they are."""

import json
from pathlib import Path

import numpy as np
import pytest

from trajlib.companion import findings

FOLDER = Path(__file__).parents[2] / "data" / "findings"
COMMITTED = sorted(path.stem for path in FOLDER.glob("*.npz"))
calls = []


def squares(n, seed):
    """Made-up arrays."""
    calls.append((n, seed))
    return {"x": np.arange(n) ** 2, "seed": seed}


def test_made_once_and_again_when_the_settings_change(tmp_path, monkeypatch):
    calls.clear()
    first = findings.make(tmp_path, squares, {"n": 4, "seed": 1})
    again = findings.make(tmp_path, squares, {"n": 4, "seed": 1})
    assert calls == [(4, 1)] and np.array_equal(first.x, [0, 1, 4, 9]) and np.array_equal(again.x, first.x)
    findings.make(tmp_path, squares, {"n": 5, "seed": 1})
    assert calls == [(4, 1), (5, 1)]
    monkeypatch.setattr(findings, "data_file", lambda name: tmp_path / Path(name).name)
    loaded = findings.load("squares")
    assert loaded.manifest["settings"] == {"n": 5, "seed": 1} and loaded.x.tolist() == [0, 1, 4, 9, 16]
    with pytest.raises(AttributeError, match="no array 'y'; there are x, seed"):
        loaded.y  # noqa: B018


def test_arrays_that_are_not_the_manifest_s_are_refused_and_made_again(tmp_path, monkeypatch):
    calls.clear()
    findings.make(tmp_path, squares, {"n": 3, "seed": 0})
    np.savez_compressed(tmp_path / "squares.npz", x=np.ones(3))
    monkeypatch.setattr(findings, "data_file", lambda name: tmp_path / Path(name).name)
    with pytest.raises(ValueError, match="is not what its manifest speaks of"):
        findings.load("squares")
    findings.make(tmp_path, squares, {"n": 3, "seed": 0})
    assert len(calls) == 2
    manifest = (tmp_path / "squares.json").read_bytes()
    for damaged in (b"", b"\xff", b"[]", b"{}", b"null", manifest[:-9], manifest.replace(b"sha256", b"sha257")):
        (tmp_path / "squares.json").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"squares\.npz .* damaged; make findings writes both anew"):
            findings.load("squares")
    (tmp_path / "squares.json").write_bytes(manifest.replace(b'"settings"', b'"setting"'))
    findings.make(tmp_path, squares, {"n": 3, "seed": 0})
    assert len(calls) == 3 and findings.load("squares").x.tolist() == [0, 1, 4]


@pytest.mark.parametrize("name", COMMITTED)
def test_what_is_committed_is_whole_and_small(name):
    found = findings.load(name)
    assert found and (FOLDER / f"{name}.npz").stat().st_size < 500_000
    assert json.dumps(found.manifest["settings"]) and found.manifest["finding"] == name

"""The campaign of faults: it finds nothing in the library, and something in a library that is made worse."""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trajlib.companion import bundled

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))
pytestmark = pytest.mark.skipif(os.name != "posix", reason="the faults happen to forked children")

RUN = """
import sys
sys.path.insert(0, {tools!r})
{before}
import fault_campaign
sys.argv = ["fault_campaign.py", *{options!r}]
fault_campaign.main()
"""


def campaign(*options, before=""):
    code = RUN.format(tools=str(ROOT / "tools"), before=before, options=options)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=600)
    rows = re.findall(r"^(.+?) {2,}(.+?) {2,}(\d+) +(\d+)$", done.stdout, re.MULTILINE)
    return done, {(fault, where): (int(times), int(broke)) for fault, where, times, broke in rows}


@pytest.mark.slow
def test_nothing_breaks(tmp_path):
    done, rows = campaign("--kills", "4", "--damages", "8", "--seed", "1", "--write", str(tmp_path / "faults.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(rows) > 15 and all(times > 0 and broke == 0 for times, broke in rows.values())
    assert len(json.loads((tmp_path / "faults.json").read_text(encoding="utf-8"))["tried"]) == len(rows)


CARELESS = """
from trajlib import results
from trajlib.sweeps import grid
def write(path, content):  # in place
    with open(path, "w+b") as file:
        content(file) if callable(content) else file.write(content)
results.write = grid.write = write
"""


@pytest.mark.slow
def test_a_library_that_writes_in_place_is_found_out():
    done, rows = campaign("--kills", "2", "--damages", "16", before=CARELESS)
    assert done.returncode == 1 and rows["full disk", "a sweep"][1] > 0
    assert rows["full disk", "saving over a result"][1] == rows["full disk", "saving over a result"][0] > 0


def test_what_a_usable_error_is():
    from fault_parts import faulty

    good = ValueError("/a/run.npz is damaged: copy it again, or compute it again")
    assert faulty(good, (ValueError,), "run.npz") is None
    assert "names no remedy" in faulty(ValueError("run.npz is damaged"), (ValueError,), "run.npz")
    assert "does not name" in faulty(ValueError("compute it again"), (ValueError,), "run.npz")
    assert faulty(KeyError("run.npz: compute it again"), (ValueError,), "run.npz").startswith("KeyError")


def test_damage_is_of_every_kind_and_everywhere():
    from fault_damage import damaged

    dice, content = random.Random(0), bytes(range(256))
    made = [damaged(content, dice) for _ in range(400)]
    assert len({kind for kind, _ in made}) == 8
    flipped = [other for kind, other in made if kind == "a bit"]
    places = [i for other in flipped for i in range(256) if other[i] != content[i]]
    assert len(places) == len(flipped) and min(places) < 40 and max(places) > 215


def test_the_committed_table():
    rows = bundled.bundled_faults()
    assert all(row["times"] > 0 and row["broke"] == len(row["what"]) == 0 for row in rows)
    kills = {row["where"]: row["times"] for row in rows if row["fault"] == "kill -9"}
    assert sum(kills.values()) >= 200


def test_a_table_that_was_edited_is_refused(tmp_path, monkeypatch):
    text = (ROOT / "data" / "faults.json").read_text(encoding="utf-8")
    (tmp_path / "faults.json").write_text(re.sub(r'"broke": 0', '"broke": 1', text, count=1), encoding="utf-8")
    monkeypatch.setattr(bundled, "data_file", lambda name: tmp_path / name)
    with pytest.raises(ValueError, match="changed by hand"):
        bundled.bundled_faults()

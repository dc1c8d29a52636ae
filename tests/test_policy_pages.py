"""`docs/policies` is what the packs say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from auditor.app.policy_pages import pages
from tests.support import ROOT

MADE = pages()
HEADINGS = [
    "Why", "What is examined", "What must hold", "Blind spots", "Variables", "What to do about an exception",
    "Controls", "References",
]  # fmt: skip


def test_the_pages_are_those_of_the_policies():
    """If not, write them again: `make docs`."""
    folder = ROOT / "docs" / "policies"
    written = {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.md")}
    assert written == MADE, "run: make docs"


def test_every_shipped_check_has_a_page():
    checks = {path.stem for path in (ROOT / "policies").glob("*/*.yaml") if ".test." not in path.name}
    assert {Path(name).stem for name in MADE if name != "README.md"} == checks


@pytest.mark.parametrize("name", [name for name in MADE if name != "README.md"])
def test_every_page_has_the_same_shape(name: str):
    assert re.findall(r"^## (.*)$", MADE[name], re.MULTILINE) == HEADINGS
    assert MADE[name].count("```") % 2 == 0
    (source,) = re.findall(r"\]\(\.\./\.\./\.\./(.*)\)", MADE[name])
    assert (ROOT / source).is_file()
    table = MADE[name].partition("## Variables")[2].partition("##")[0]
    assert set(re.findall(r"\$\{var\.(\w+)\}", MADE[name])) <= set(
        re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    )


def test_what_is_no_page_any_more_is_taken_away(tmp_path: Path):
    stale = tmp_path / "docs" / "policies" / "gone" / "check.md"
    stale.parent.mkdir(parents=True)
    stale.write_text("# Gone\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "auditor.app.policy_pages"], cwd=tmp_path, check=True)
    written = {path.relative_to(tmp_path / "docs" / "policies").as_posix() for path in tmp_path.rglob("*.md")}
    assert written == MADE.keys()

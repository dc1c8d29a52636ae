"""The wheel works on its own: schemas and policies travel in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(out), str(ROOT)], check=True, capture_output=True)
    (built,) = out.glob("auditor-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel installs."""
    folder = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        str(folder),
    ]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    return folder


def run(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PINGONE_", "AUDITOR_", "COV"))
    }
    return subprocess.run(
        [sys.executable, "-m", "auditor", *words],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


CHECKS = len(list((ROOT / "policies" / "pingone-activity").glob("*.test.yaml")))
"""Checks of the shipped pack, of which every file holds one."""


def test_the_wheel_holds_schemas_policies_and_the_licence(wheel):
    names = ZipFile(wheel).namelist()
    for wanted in (
        "auditor/_shipped/schemas/resources/activities.yaml",
        "auditor/_shipped/schemas/policy.schema.json",
        "auditor/_shipped/schemas/frameworks/soc2.yaml",
        "auditor/_shipped/policies/pingone-activity/app-deletion-by-admin-clients.yaml",
        "auditor/_shipped/policies/pingone-activity/app-deletion-by-admin-clients.test.yaml",
        "auditor/app/template/auditor.yaml",
        "auditor/py.typed",
    ):
        assert wanted in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "examples/")) for name in names)


def test_the_installed_program_is_the_wheel_and_not_the_checkout(installed, tmp_path):
    code = "import auditor, pathlib; print(pathlib.Path(auditor.__file__).parent.parent)"
    clean = {**os.environ, "PYTHONPATH": str(installed)}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=clean, capture_output=True, text=True, check=True
    )
    assert Path(ran.stdout.strip()) == installed


def test_the_installed_program_runs_from_an_empty_folder(installed, tmp_path):
    assert run(installed, tmp_path, "init").returncode == 0
    assert f"Valid: {CHECKS + 3} checks" in run(installed, tmp_path, "validate").stdout
    ran = run(installed, tmp_path, "check", "--simulate", "--as-of", "2026-11-21T09:00:00Z")
    assert ran.returncode == 2, ran
    assert f"{CHECKS + 3} checks: " in ran.stdout
    assert " 0 errors, " in ran.stdout
    assert (tmp_path / ".auditor" / "latest" / "junit.xml").is_file()


def test_a_shipped_pack_runs_without_a_project(installed, tmp_path):
    ran = run(
        installed, tmp_path, "check", "pack:pingone-activity", "--simulate", "--events", "300",
        "--var", "license_cap=100000", "--var", "admin_clients=[adminui]",
    )  # fmt: skip
    assert ran.returncode == 2, ran
    assert f"{CHECKS} checks: " in ran.stdout


def test_the_tests_of_a_shipped_pack_run_with_their_records(installed, tmp_path):
    ran = run(installed, tmp_path, "test", "pack:pingone-activity", "--filter", "sign-on-failure-ratio")
    assert ran.returncode == 0, ran
    assert "PASS  sign-on-failure-ratio · half of the days are missing" in ran.stdout

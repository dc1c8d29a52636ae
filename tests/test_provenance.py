"""Where a run comes from: commit, CI job and client, and no secret beside them."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from ruamel.yaml import YAML

from auditor.app.provenance import provenance
from auditor.cli import run
from auditor.model.provenance import Provenance
from tests.support import ROOT

JOBS = YAML(typ="safe").load((ROOT / "tests/spec/ci-jobs.yaml").read_text("utf-8"))
POLICY = """\
version: 1
pack: {id: own, title: Own}
checks:
  created: {title: Created, query: {resource: activities, window: 1d}, expect: some}
"""


@pytest.fixture
def repository(tmp_path):
    """A folder with a committed policy; the function runs git in it."""
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}

    def git(*words: str) -> str:
        ran = subprocess.run(
            ("git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-C", tmp_path, *words),  # noqa: S607
            capture_output=True, text=True, check=True, env=environ,
        )  # fmt: skip
        return ran.stdout.strip()

    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/a.yaml").write_text(POLICY, encoding="utf-8")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return tmp_path, git


def known(folder, *sources: str, **environ: str) -> Provenance:
    return provenance(folder, {"PATH": os.environ["PATH"], **environ}, sources or ("policies/a.yaml",))


def test_what_is_committed_is_clean_whatever_lies_beside_it(repository):
    folder, git = repository
    (folder / "junit.xml").write_text("<x/>", encoding="utf-8")
    assert known(folder) == Provenance(commit=git("rev-parse", "HEAD"), dirty=False)


def test_the_project_may_be_a_folder_of_the_repository(repository):
    folder, _ = repository
    assert known(folder / "policies", "a.yaml").dirty is False
    assert known(folder / "policies", "b.yaml").dirty is True


def test_a_changed_file_an_untracked_one_and_one_from_elsewhere_are_dirty(repository):
    folder, _ = repository
    (folder / "policies/b.yaml").write_text(POLICY, encoding="utf-8")
    assert known(folder, "policies/b.yaml").dirty is True
    assert known(folder, "../elsewhere.yaml").dirty is True
    assert known(folder, "pack:shipped/a.yaml", "policies/a.yaml").dirty is False
    (folder / "policies/a.yaml").write_text(f"# mine\n{POLICY}", encoding="utf-8")
    assert known(folder).dirty is True


def test_where_only_shipped_packs_were_read_nothing_is_said_of_them(repository):
    folder, _ = repository
    assert known(folder, "pack:shipped/a.yaml").dirty is None


def test_without_a_repository_a_commit_or_git_nothing_is_known(repository):
    folder, git = repository
    assert known(folder, PATH="/nonexistent") == Provenance()
    assert known(folder / "not-there") == Provenance()
    git("update-ref", "-d", "HEAD")
    assert known(folder) == Provenance()


def test_nothing_that_a_repository_configures_is_run(repository, tmp_path):
    folder, git = repository
    mark = tmp_path / "ran"
    for name in ("core.fsmonitor", "diff.external"):
        git("config", name, f"touch {mark}; false")
    (folder / "policies/a.yaml").write_text(f"# mine\n{POLICY}", encoding="utf-8")
    assert known(folder).dirty is True
    assert not mark.exists()


@pytest.mark.parametrize("row", JOBS, ids=lambda row: str(row["name"]))
def test_the_job_of_a_ci_system_is_told_without_its_secrets(row, tmp_path):
    found = provenance(tmp_path, row["environ"]).ci
    assert found is not None
    assert {key: getattr(found, key) for key in row["job"]} == row["job"]
    assert "canary" not in repr(found)


def test_without_a_ci_system_there_is_no_job(tmp_path):
    assert provenance(tmp_path, {"GITHUB_ACTIONS": ""}).ci is None


def test_a_report_says_which_commit_and_client_it_comes_from(repository, monkeypatch):
    folder, git = repository
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "TF_BUILD", "JENKINS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(folder)
    run(["check", "policies", "--simulate", "--events", "50", "--report", "json=report.json"])
    report = json.loads((folder / "report.json").read_text("utf-8"))
    assert report["provenance"] == {
        "commit": git("rev-parse", "HEAD"),
        "dirty": False,
        "ci": None,
        "clients": {"default": report["provenance"]["clients"]["default"]},
    }

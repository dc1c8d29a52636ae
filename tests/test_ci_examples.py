"""The jobs of `examples/ci`: well-formed, without secrets where strangers propose changes, and they run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from auditor import cli
from auditor.reporter import FORMATS
from tests.support import ROOT
from tests.test_cli import Ran, auditor  # noqa: F401  # a fixture
from tests.test_waiver_commands import git

Run = Callable[..., Ran]

FOLDER = ROOT / "examples" / "ci"
GITHUB = FOLDER / "github-actions.yaml"
GITLAB = FOLDER / "gitlab-ci.yaml"
JENKINS = FOLDER / "Jenkinsfile"
DOCKER = FOLDER / "Dockerfile"
PROPOSED = ("validate", "fmt", "waiver", "test", "plan")
"""What a proposed change goes through."""


def yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text("utf-8"))


def github(job: str) -> list[str]:
    """Return the command lines of a job."""
    return [step["run"] for step in yaml(GITHUB)["jobs"][job]["steps"] if "run" in step]


def gitlab(job: str) -> list[str]:
    return list(yaml(GITLAB)[job]["script"])


def jenkins(stage: str) -> list[str]:
    return re.findall(r"^ *sh '([^']*)'$", stage_of(stage), re.MULTILINE)


def stage_of(name: str) -> str:
    """Return the text of a stage, to the brace that closes it."""
    text = JENKINS.read_text("utf-8")
    start = text.index(f"stage('{name}') {{")
    depth = 0
    for position, character in unquoted(text[start:]):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "}" and not depth:
            return text[start : start + position]
    raise AssertionError(name)


def unquoted(text: str) -> Iterator[tuple[int, str]]:
    """Yield the characters of Groovy that stand in no text and no comment, with their places."""
    for match in re.finditer(r"//[^\n]*|'[^'\n]*'|\"[^\"\n]*\"|(.)", text, re.DOTALL):
        if match[1]:
            yield match.start(), match[1]


COMMANDS = {
    "github": (github("validate"), github("check")),
    "gitlab": (gitlab("validate"), gitlab("check")),
    "jenkins": (jenkins("Validate"), jenkins("Check")),
}
LINES = [
    line
    for proposed, protected in COMMANDS.values()
    for line in (*proposed, *protected)
    if "auditor " in line
]


@pytest.mark.parametrize("line", dict.fromkeys(LINES))
def test_a_job_names_only_commands_options_and_formats_that_exist(line: str):
    program, *words = shlex.split(line)
    assert program == "auditor"
    command: click.Command = cli.main
    context = click.Context(command, info_name="auditor", obj=words)
    while isinstance(command, click.Group):
        name, *words = words
        command = command.commands[name]
        context = click.Context(command, info_name=name, parent=context)
    command.make_context(command.name, list(words), parent=context.parent)
    reports = [word.partition("=")[0] for option, word in pairwise(words) if option == "--report"]
    assert set(reports) <= set(FORMATS)


@pytest.mark.parametrize("system", COMMANDS)
def test_every_system_does_the_same(system: str):
    proposed, protected = COMMANDS[system]
    words = [line.split()[1] for line in proposed if line.startswith("auditor ")]
    assert tuple(words) == PROPOSED
    (line,) = (line for line in protected if line.startswith("auditor "))
    assert line.startswith("auditor check --report junit=reports/junit.xml ")


def test_a_proposed_change_sees_no_secret():
    jobs = yaml(GITHUB)["jobs"]
    assert jobs["validate"]["if"] == "github.event_name == 'pull_request'"
    assert jobs["check"]["if"] == "github.event_name != 'pull_request'"
    assert "pull_request_target" not in GITHUB.read_text("utf-8").replace("pull_request:", "")
    for text in (str(jobs["validate"]), str(yaml(GITLAB)["validate"]), stage_of("Validate")):
        assert not re.search(r"secrets\.|PINGONE|credentials\(", text)
    assert yaml(GITHUB)["permissions"] == {"contents": "read"}
    checkouts = [step for job in jobs.values() for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert yaml(GITLAB)["validate"]["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}]
    assert "when { changeRequest() }" in stage_of("Validate")
    assert "when { branch 'main' }" in stage_of("Check")


def test_reports_are_kept_whatever_comes_out():
    for job in yaml(GITHUB)["jobs"].values():
        (upload,) = (step for step in job["steps"] if "upload-artifact" in step.get("uses", ""))
        assert (upload["if"], upload["with"]["path"]) == ("always()", "reports")
    for job in ("validate", "check"):
        artifacts = yaml(GITLAB)[job]["artifacts"]
        assert (artifacts["when"], artifacts["paths"]) == ("always", ["reports"])
        assert artifacts["reports"]["junit"].startswith("reports/")
    assert re.search(r"post \{\s+always \{\s+junit ", JENKINS.read_text("utf-8"))


def test_the_jenkinsfile_is_well_formed():
    open_: list[str] = []
    for _, character in unquoted(JENKINS.read_text("utf-8")):
        if character in "([{":
            open_.append(character)
        elif character in ")]}":
            assert f"{open_.pop()}{character}" in ("()", "[]", "{}")
        assert character not in "'\""
    assert not open_


def test_the_jobs_run_on_a_fresh_project(
    auditor: Run,  # noqa: F811  # the fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """Those of a proposed change without any variable; the main job on the simulator."""
    assert auditor("init", tmp_path / "project").code == 0
    monkeypatch.chdir(tmp_path / "project")
    git(Path(), "init", "-q")
    git(Path(), "add", "-A")
    git(Path(), "commit", "-qm", "first")
    for line in dict.fromkeys(re.sub(r'"[^"]*\$[^"]*"', "HEAD", line) for line in LINES):
        is_check = line.startswith("auditor check")
        words = [*shlex.split(line)[1:], *(("--simulate", "--events", "300") if is_check else ())]
        ran = auditor(*words)
        assert (ran.code, line) == (2 if is_check else 0, line), ran.err
        for path in re.findall(r"reports/[a-z.]+", line):
            assert Path(path).is_file()


# --- the container -------------------------------------------------------------------------------------


def test_the_image_is_made_of_what_is_there_and_runs_as_nobody():
    text = re.sub(r"\\\n", " ", DOCKER.read_text("utf-8"))
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert {line[0] for line in lines} <= {
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "ENV",
        "USER",
        "ENTRYPOINT",
        "CMD",
    }
    for line in lines:
        if line[0] == "COPY" and not line[1].startswith("--from"):
            assert (ROOT / line[1]).exists()
    (user,) = (line[1] for line in lines if line[0] == "USER")
    assert all(int(number) > 0 for number in user.split(":"))
    assert ["ENTRYPOINT", '["auditor"]'] in lines
    assert "--require-hashes" in text
    left_out = (FOLDER / "Dockerfile.dockerignore").read_text("utf-8").split()
    assert {".git", ".venv*", ".auditor"} <= set(left_out)
    pins = (ROOT / "requirements" / "image.txt").read_text("utf-8")
    everything = (ROOT / "requirements" / "dev.txt").read_text("utf-8")
    versions = set(re.findall(r"^\S+==\S+", pins, re.MULTILINE))
    assert versions
    assert versions <= set(re.findall(r"^\S+==\S+", everything, re.MULTILINE))


def as_nobody() -> list[str]:
    """Return what takes from the superuser the right to write anywhere, so that folders can refuse it."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("the superuser may write anywhere, and there is no setpriv to change that")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["plan"], 0),
        (["check", "--simulate", "--events", "300", "--check", "one"], 2),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_it_runs_where_only_the_data_folder_can_be_written_and_nobody_has_a_home(
    words: list[str], code: int, tmp_path: Path
):
    project, data = tmp_path / "project", tmp_path / "data"
    project.mkdir()
    data.mkdir()
    (project / "policy.yaml").write_text(
        "version: 1\npack: {id: pack}\nchecks:\n"
        "  one: {title: One, query: {resource: activities, window: hot}, expect: none}\n",
        "utf-8",
    )
    (project / "auditor.yaml").write_text("version: 1\npolicies: [policy.yaml]\n", "utf-8")
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "AUDITOR_DATA_DIR": str(data)}
    environ |= {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(project)}
    project.chmod(0o555)
    try:
        command = [*as_nobody(), sys.executable, "-m", "auditor", *words]
        ran = subprocess.run(
            command, cwd=project, env=environ, capture_output=True, text=True, check=False, timeout=60
        )
    finally:
        project.chmod(0o755)
    assert ran.returncode == code, ran.stderr
    assert "not-written" not in ran.stderr + ran.stdout
    assert sorted(path.name for path in project.iterdir()) == ["auditor.yaml", "policy.yaml"]
    assert (data / "latest" / "junit.xml").exists() is (words[0] == "check")

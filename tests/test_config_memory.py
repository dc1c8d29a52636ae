"""What is remembered of a validation: only what was right, only as long as nothing differs, and no secret."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from auditor.config import PROJECT_FILE, Request, Validated, load, memory, recall, remember

ANSWER = Validated(checks=1, packs=("p",))
POLICY = """\
version: 1
pack: {id: p}
variables:
  cap: {type: integer, default: 1}
checks:
  c: {title: C, query: {resource: activities}, expect: none}
"""
SENSITIVE = POLICY.replace("default: 1", "default: 1, sensitive: true")
PROJECT = "version: 1\npolicies: [policies, pingone-activity]\n"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path / "cache")}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "policies" / "deeper").mkdir(parents=True)
    (folder / PROJECT_FILE).write_text(PROJECT)
    (folder / "policies" / "deeper" / "one.yaml").write_text(POLICY)
    (folder / "auditor.vars.yaml").write_text("cap: 2\nadmin_clients: [a]\nlicense_cap: 5\n")
    return folder


def remembered(request: Request) -> Validated | None:
    """Validate and remember as the program does, and say what is known afterwards."""
    loaded = load(request)
    assert loaded.diagnostics == ()
    assert loaded.value
    remember(request, loaded.value, ANSWER)
    return recall(request)


def file(home: dict[str, str]) -> Path:
    return Path(home["XDG_CACHE_HOME"], "auditor", "validated.json")


def test_what_was_right_is_remembered(project, home):
    request = Request(folder=project, environ=home)
    assert recall(request) is None
    assert remembered(request) == ANSWER


def test_policies_that_the_command_line_names_are_remembered_too(project, home):
    request = Request(folder=project, paths=("policies", "policies/deeper/one.yaml"), environ=home)
    request_of_all = Request(folder=project, environ=home)
    (project / "auditor.vars.yaml").write_text("cap: 2")
    assert remembered(request) == ANSWER
    assert recall(request_of_all) is None


def write(folder: Path, name: str, text: str) -> int:
    return (folder / name).write_text(text)


CHANGES = {
    "a policy": lambda folder: write(
        folder, "policies/deeper/one.yaml", POLICY.replace("title: C", "title: D")
    ),
    "a policy, by as much": lambda folder: write(folder, "policies/deeper/one.yaml", POLICY + "#"),
    "a policy more": lambda folder: write(folder, "policies/two.yaml", POLICY),
    "a folder of policies more": lambda folder: (
        (folder / "policies" / "x").mkdir(),
        write(folder, "policies/x/two.yaml", POLICY),
    ),
    "a policy less": lambda folder: (folder / "policies" / "deeper" / "one.yaml").unlink(),
    "another name": lambda folder: (folder / "policies/deeper/one.yaml").rename(
        folder / "policies/deeper/two.yaml"
    ),
    "the project": lambda folder: write(folder, PROJECT_FILE, PROJECT + "#"),
    "no project": lambda folder: (folder / PROJECT_FILE).unlink(),
    "variables": lambda folder: write(folder, "auditor.vars.yaml", "cap: 3"),
    "no variables": lambda folder: (folder / "auditor.vars.yaml").unlink(),
    "more variables": lambda folder: write(folder, "x.auto.vars.yaml", "cap: 3"),
    "a file that is nearly called what is read": lambda folder: write(folder, "waivers.yml", ""),
    "a folder with the name of a shipped pack": lambda folder: (
        (folder / "pingone-activity").mkdir(),
        write(folder, "pingone-activity/two.yaml", POLICY),
    ),
    "bytes that are no text": lambda folder: (folder / "policies/deeper/one.yaml").write_bytes(b"\xff"),
    "a link out of the project": lambda folder: (
        (folder / "policies/deeper/one.yaml").rename(folder.parent / "outside.yaml"),
        (folder / "policies/deeper/one.yaml").symlink_to(folder.parent / "outside.yaml"),
    ),
    "a folder that is a link out of the project": lambda folder: (
        (folder / "policies").rename(folder.parent / "outside"),
        (folder / "policies").symlink_to(folder.parent / "outside"),
    ),
    "a project that is a link out of its folder": lambda folder: (
        (folder / PROJECT_FILE).rename(folder.parent / "outside.yaml"),
        (folder / PROJECT_FILE).symlink_to(folder.parent / "outside.yaml"),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_known_once_anything_differs(project, home, change):
    request = Request(folder=project, environ=home)
    assert remembered(request) == ANSWER
    CHANGES[change](project)
    assert recall(request) is None


def test_what_is_as_before_is_known_again(project, home):
    request = Request(folder=project, environ=home)
    assert remembered(request) == ANSWER
    policy = project / "policies" / "deeper" / "one.yaml"
    policy.write_text("broken")
    assert recall(request) is None
    policy.write_text(POLICY)
    assert recall(request) == ANSWER


def test_other_words_on_the_command_line_are_another_question(project, home, tmp_path):
    given = tmp_path / "given.yaml"
    given.write_text("cap: 4")
    assert remembered(Request(folder=project, environ=home)) == ANSWER
    for other in (
        {"paths": ("policies",)},
        {"variables": (("--var", "cap=3"),)},
        {"variables": (("--var-file", str(given)),)},
        {"environments": ("default",)},
        {"allow_hosts": ("example.com",)},
        {"choose": False},
    ):
        assert recall(Request(folder=project, environ=home, **other)) is None, other


def test_a_file_of_variables_that_the_command_line_names_is_compared_too(project, home, tmp_path):
    given = tmp_path / "given.yaml"
    given.write_text("cap: 4")
    request = Request(folder=project, environ=home, variables=(("--var-file", str(given)),))
    assert remembered(request) == ANSWER
    given.write_text("cap: 5")
    assert recall(request) is None
    given.unlink()
    assert recall(request) is None


def test_another_program_knows_nothing(project, home, monkeypatch):
    request = Request(folder=project, environ=home)
    assert remembered(request) == ANSWER
    monkeypatch.setattr("sys.version", "another")
    assert recall(request) is None


def test_code_schemas_policies_and_what_is_installed_are_the_program(tmp_path, monkeypatch):
    """A digest of each: a checkout changes without its version, and a library with it."""
    installed = tmp_path / "library-1.dist-info"
    installed.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    seen = {memory._program()}
    installed.rename(tmp_path / "library-2.dist-info")
    seen.add(memory._program())
    code = tmp_path / "auditor"
    code.mkdir()
    monkeypatch.setattr(memory, "PACKAGE", code)
    for text in ("x = 1", "x = 2"):
        (code / "module.py").write_text(text)
        seen.add(memory._program())
    for part in ("schemas", "policies"):
        shipped = tmp_path / part
        shipped.mkdir()
        monkeypatch.setattr(memory, "shipped", lambda name, own=part, at=shipped: at if name == own else code)
        for text in ("a: 1", "a: 2"):
            (shipped / "one.yaml").write_text(text)
            seen.add(memory._program())
    assert len(seen) == 8


# Secrets


def test_a_sensitive_variable_is_never_part_of_it(project, home):
    (project / "policies" / "deeper" / "one.yaml").write_text(SENSITIVE)
    assert remembered(Request(folder=project, environ=home)) is None
    assert not file(home).exists()


@pytest.mark.parametrize(
    "given",
    [
        {"AUDITOR_VAR_cap": "3"},
        {"PINGONE_CLIENT_SECRET": "canary"},
        {"AUDITOR_PINGONE_CLIENT_SECRET": "canary"},
        {"OWN_ORGANIZATION": "abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6"},
    ],
)
def test_what_the_environment_of_the_process_gives_is_never_part_of_it(project, home, given):
    (project / PROJECT_FILE).write_text(PROJECT + 'organization_id: "${env.OWN_ORGANIZATION}"\n')
    without = Request(folder=project, environ=home)
    with_value = Request(folder=project, environ={**home, **given})
    assert remembered(with_value) is None
    assert not file(home).exists()
    assert remembered(without) == ANSWER
    assert recall(with_value) is None


def test_no_value_stands_in_what_is_remembered(project, home):
    (project / "auditor.vars.yaml").write_text("cap: 987654321\nadmin_clients: [canary]\nlicense_cap: 5\n")
    request = Request(folder=project, environ=home, variables=(("--var", "cap=987654322"),))
    assert remembered(request) == ANSWER
    text = file(home).read_text()
    assert "canary" not in text
    assert "98765432" not in text


# Where it is kept


def test_only_its_user_can_read_it(project, home):
    assert remembered(Request(folder=project, environ=home)) == ANSWER
    assert file(home).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o606])
def test_what_others_may_read_or_write_is_not_believed(project, home, mode):
    """A checkout makes such files, and so could a stranger."""
    request = Request(folder=project, environ=home)
    assert remembered(request) == ANSWER
    file(home).chmod(mode)
    assert recall(request) is None


def test_what_another_user_wrote_is_not_believed(project, home, monkeypatch):
    request = Request(folder=project, environ=home)
    assert remembered(request) == ANSWER
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert recall(request) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"k": 1}', '{"k": {}}', '{"k": {"policies": 1}}', "[" * 100_000, "\xff"]
)
def test_what_is_broken_is_passed_over_and_replaced(project, home, text):
    file(home).parent.mkdir(parents=True)
    file(home).write_text(text, encoding="latin-1")
    file(home).chmod(0o600)
    request = Request(folder=project, environ=home)
    assert recall(request) is None
    assert remembered(request) == ANSWER


@pytest.mark.parametrize(
    "environ",
    [{}, {"HOME": ""}, {"XDG_CACHE_HOME": "relative"}, {"XDG_CACHE_HOME": "/dev/null/cache"}],
)
def test_without_a_folder_of_the_user_nothing_is_remembered(project, environ):
    assert remembered(Request(folder=project, environ=environ)) is None


def test_a_folder_inside_of_the_project_is_none_of_the_user(project):
    """What lies in a project may come from a stranger: it could say that a broken policy is valid."""
    assert remembered(Request(folder=project, environ={"HOME": str(project)})) is None
    assert not (project / ".cache").exists()


def test_the_folder_of_the_user_is_below_home(project, tmp_path):
    assert remembered(Request(folder=project, environ={"HOME": str(tmp_path / "home")})) == ANSWER
    assert (tmp_path / "home" / ".cache" / "auditor" / "validated.json").exists()


def test_the_oldest_are_forgotten(project, home):
    requests = [
        Request(folder=project, environ=home, variables=(("--var", f"cap={number}"),)) for number in range(34)
    ]
    loaded = load(requests[0]).value
    assert loaded
    for request in requests:
        remember(request, loaded, ANSWER)
    assert len(json.loads(file(home).read_text())) == 32
    assert [recall(request) for request in requests[:3]] == [None, None, ANSWER]
    assert recall(requests[-1]) == ANSWER

"""The project file and the packs that it names: what is read, from where, and what is refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from auditor import app
from auditor.config import PROJECT_FILE, Request, load, load_readable, located
from auditor.config import files as config_files
from auditor.model.diagnostic import Checked, Diagnostic
from auditor.model.project import Project
from tests.support import ROOT

ID = "abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6"
SHIPPED = "pingone-activity"


def policy(pack: str = "mine", *checks: str, variables: str = "{}", query: str = "") -> str:
    """A policy file with some checks that expect nothing much."""
    body = "".join(
        f"  {check}: {{title: {check}, query: {{resource: activities, window: 1d{query}}}, expect: none}}\n"
        for check in checks or ("one",)
    )
    return f"version: 1\npack: {{id: {pack}, title: Pack {pack}}}\nvariables: {variables}\nchecks:\n{body}"


def written(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files into a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return folder


def project(policies: str = "[policies]", more: str = "") -> str:
    return f"version: 1\npolicies: {policies}\n{more}"


def loaded(folder: Path, files: Mapping[str, str] | None = None, **request: Any) -> Checked[Project]:
    return load(Request(folder=written(folder, files or {}), **{"environ": {}, **request}))


def sound(checked: Checked[Project]) -> Project:
    assert checked.diagnostics == ()
    assert checked.value is not None
    return checked.value


def codes(checked: Checked[Any]) -> list[str]:
    return [diagnostic.code for diagnostic in checked.diagnostics]


def only(checked: Checked[Any], code: str) -> Diagnostic:
    """The one diagnostic that there is."""
    assert codes(checked) == [code]
    assert checked.value is None
    return checked.diagnostics[0]


def place(diagnostic: Diagnostic) -> tuple[str, int, int]:
    assert diagnostic.location is not None
    return diagnostic.location.file, diagnostic.location.line, diagnostic.location.column


# Discovery


def test_a_project_names_its_policies_by_file_and_folder(tmp_path):
    found = sound(
        loaded(
            tmp_path,
            {
                PROJECT_FILE: project("[b.yaml, folder]"),
                "b.yaml": policy("b"),
                "folder/deep/c.yml": policy("c"),
                "folder/a.yaml": policy("a"),
                "elsewhere/d.yaml": policy("d"),
            },
        )
    )
    assert [(pack.id, list(pack.files)) for pack in found.packs] == [
        ("a", ["folder/a.yaml"]),
        ("b", ["b.yaml"]),
        ("c", ["folder/deep/c.yml"]),
    ]
    assert set(found.sources) == {PROJECT_FILE, "b.yaml", "folder/a.yaml", "folder/deep/c.yml"}


def test_other_documents_in_a_folder_are_no_policies(tmp_path):
    found = sound(
        loaded(
            tmp_path,
            {
                PROJECT_FILE: project("[.]"),
                "a.yaml": policy(),
                "a.test.yaml": "cases: []",
                "auditor.vars.yaml": "{}",
                "x.auto.vars.yaml": "{}",
                "other.vars.yml": "other: 1",
                "waivers.yaml": "version: 1",
                ".hidden.yaml": "hidden",
                ".git/a.yaml": "hidden",
                "readme.md": "# Read me",
            },
        )
    )
    assert [list(pack.files) for pack in found.packs] == [["a.yaml"]]


def test_a_shipped_pack_is_named_with_or_without_a_prefix(tmp_path):
    given = [("--var", "license_cap=5"), ("--var", "admin_clients=[]")]
    named = sound(loaded(tmp_path, {PROJECT_FILE: project(f"[{SHIPPED}]")}, variables=given))
    prefixed = sound(loaded(tmp_path, {PROJECT_FILE: project(f"['pack:{SHIPPED}']")}, variables=given))
    assert named.packs == prefixed.packs
    assert {file.split("/")[0] for pack in named.packs for file in pack.files} == {f"pack:{SHIPPED}"}


def test_every_shipped_pack_is_sound(tmp_path):
    """Each pack loads by its name, and needs nothing but values for its variables."""
    for folder in sorted((ROOT / "policies").iterdir()):
        checked = loaded(tmp_path, paths=[f"pack:{folder.name}"])
        assert set(codes(checked)) <= {"variable.not-given"}
        assert {d.location.file.split("/")[0] for d in checked.diagnostics if d.location} <= {
            f"pack:{folder.name}"
        }


def test_a_folder_of_the_project_wins_over_a_shipped_pack_of_its_name(tmp_path):
    found = sound(
        loaded(tmp_path, {PROJECT_FILE: project(f"[{SHIPPED}]"), f"{SHIPPED}/a.yaml": policy("own")})
    )
    assert [pack.id for pack in found.packs] == ["own"]


@pytest.mark.parametrize("name", ["pack:pingone-activty", "pack:", "pack:../schemas", "pack:/etc", "pack:."])
def test_an_unknown_shipped_pack_is_a_mistake_and_no_path(tmp_path, name):
    found = only(loaded(tmp_path, paths=[name]), "project.unknown-pack")
    assert SHIPPED in found.help
    assert found.subject == name


def test_a_misspelt_name_in_the_project_suggests_shipped_packs_and_files(tmp_path):
    files = {PROJECT_FILE: project("[pingone-activty, plicies, policies]"), "policies/a.yaml": policy()}
    found = loaded(tmp_path, files)
    assert [(d.code, place(d), d.help) for d in found.diagnostics] == [
        ("file.not-found", (PROJECT_FILE, 2, 12), 'did you mean "pingone-activity"?'),
        ("file.not-found", (PROJECT_FILE, 2, 29), 'did you mean "policies"?'),
    ]


def test_a_misspelt_pack_of_an_entry_is_marked_as_what_it_is(tmp_path):
    found = only(loaded(tmp_path, {PROJECT_FILE: project("[{pack: pingone-activty}]")}), "file.not-found")
    assert place(found) == (PROJECT_FILE, 2, 19)
    assert found.detail == 'There is no file, folder or shipped pack "pingone-activty".'


MISNAMED = {
    "auditor.yml": "auditor.yaml",
    "auditor.vars.yml": "auditor.vars.yaml",
    "auditor.var.yaml": "auditor.vars.yaml",
    "prod.auto.vars.yml": "prod.auto.vars.yaml",
    "waivers.yml": "waivers.yaml",
    "waiver.yaml": "waivers.yaml",
}


def test_a_file_that_is_nearly_called_what_is_read_is_a_warning(tmp_path):
    files = {
        PROJECT_FILE: project("[policies]"),
        "policies/a.yml": policy(),
        "prod.vars.yml": "",
        "a.yml": "",
    }
    found = loaded(tmp_path, {**files, **dict.fromkeys(MISNAMED, "")})
    assert found.value is not None
    assert {each.subject: each.help for each in found.warnings} == {
        name: f"Name it {right}." for name, right in MISNAMED.items()
    }


def test_a_file_that_is_named_is_read_whatever_its_name(tmp_path):
    files = {PROJECT_FILE: project("[policies]"), "policies/a.yaml": policy(), "auditor.vars.yml": "{}"}
    assert loaded(tmp_path, files, variables=[("--var-file", "auditor.vars.yml")]).diagnostics == ()


def test_where_only_the_name_of_the_project_is_wrong_both_are_told(tmp_path):
    found = loaded(tmp_path, {"auditor.yml": project("[policies]")})
    assert {each.code for each in found.diagnostics} == {"project.not-found", "file.misnamed"}


def test_command_line_paths_replace_the_policies_of_the_project(tmp_path):
    files = {
        PROJECT_FILE: project("[missing]", f"environments: {{prod: {{id: {ID}, region: EU}}}}"),
        "a.yaml": policy("a"),
    }
    found = sound(loaded(tmp_path, files, paths=["a.yaml"]))
    assert [pack.id for pack in found.packs] == ["a"]
    assert [environment.name for environment in found.environments] == ["prod"]


def test_command_line_paths_may_lead_anywhere(tmp_path):
    written(tmp_path, {"policies/a.yaml": policy("a"), "project/auditor.yaml": project("[x]")})
    by_relative = sound(loaded(tmp_path / "project", paths=["../policies"]))
    by_absolute = sound(loaded(tmp_path / "project", paths=[str(tmp_path / "policies" / "a.yaml")]))
    assert [pack.id for pack in by_relative.packs] == [pack.id for pack in by_absolute.packs] == ["a"]


def test_relative_paths_count_from_the_folder_that_is_named(tmp_path, monkeypatch):
    """As if the program had been started there: policies, files of variables, resource kinds."""
    written(tmp_path / "there", {"a.yaml": policy("a", variables="{x: {type: integer}}"), "x.yaml": "x: 5"})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    found = sound(loaded(Path("../there"), paths=["a.yaml"], variables=[("--var-file", "x.yaml")]))
    assert found.values["default", "a"]["var.x"].json == 5
    assert list(found.packs[0].files) == ["a.yaml"]


def test_without_a_project_and_policies_there_is_nothing_to_do(tmp_path):
    found = only(loaded(tmp_path), "project.not-found")
    assert "auditor init" in found.help
    assert found.subject == PROJECT_FILE


def test_a_folder_that_is_not_there_is_told_as_the_option(tmp_path):
    missing = load(Request(folder=tmp_path / "not there", environ={}, paths=["x.yaml"]))
    assert [(d.code, d.subject) for d in missing.diagnostics] == [("file.not-found", "--chdir")]
    nameless = load(Request(folder=Path("x" * 5_000), environ={}))
    assert [(d.code, d.subject) for d in nameless.diagnostics] == [("file.not-found", "--chdir")]


def test_a_project_file_that_can_not_be_seen_is_not_taken_for_none(tmp_path, monkeypatch):
    """Where the folder may not be searched, whether there is a project is unknown."""

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    written(tmp_path, {"a.yaml": policy()})
    monkeypatch.setattr(Path, "lstat", refuse)
    assert "file.not-found" in codes(loaded(tmp_path, paths=["a.yaml"]))


def test_a_project_needs_policies(tmp_path):
    found = only(loaded(tmp_path, {PROJECT_FILE: project("[]")}), "schema.bad-value")
    assert place(found) == (PROJECT_FILE, 2, 1)


# Files that are none


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    return written(tmp_path, {PROJECT_FILE: project(), "policies/a.yaml": policy()}) / "policies"


def test_a_folder_without_policies_is_a_mistake(tmp_path):
    (tmp_path / "policies").mkdir()
    found = only(loaded(tmp_path, {PROJECT_FILE: project()}), "file.no-policies")
    assert place(found) == (PROJECT_FILE, 2, 12)


def test_a_policy_file_that_is_not_there_is_a_mistake(policies):
    found = only(loaded(policies.parent, paths=["policies/b.yaml"]), "file.not-found")
    assert (found.subject, found.help) == ("policies/b.yaml", 'did you mean "a.yaml"?')


def test_what_lies_below_a_file_is_not_there(policies):
    found = only(loaded(policies.parent, paths=["policies/a.yaml/b.yaml"]), "file.not-found")
    assert found.subject == "policies/a.yaml/b.yaml"


def test_a_policy_file_that_is_a_folder_is_read_as_one(policies):
    (policies / "b.yaml").mkdir()
    assert [pack.id for pack in sound(loaded(policies.parent)).packs] == ["mine"]


def test_a_pipe_is_no_policy_and_is_not_waited_for(policies):
    os.mkfifo(policies / "b.yaml")
    assert only(loaded(policies.parent), "file.not-a-file").subject == "policies/b.yaml"


def test_a_socket_is_no_policy(policies, monkeypatch):
    monkeypatch.chdir(policies)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("b.yaml")
        found = only(loaded(policies.parent, paths=["policies/b.yaml"]), "file.not-a-file")
    assert "socket" in found.detail


def test_a_device_is_no_policy(tmp_path):
    assert "device" in only(loaded(tmp_path, paths=["/dev/zero"]), "file.not-a-file").detail


def test_a_file_of_200_mb_is_not_read(policies):
    with (policies / "b.yaml").open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    found = only(loaded(policies.parent), "file.too-large")
    assert "4 MiB" in found.detail


def test_a_file_that_grows_while_it_is_read_is_bounded_too(policies, monkeypatch):
    monkeypatch.setattr(config_files, "_unfit", lambda *_: None)
    with (policies / "b.yaml").open("wb") as file:
        file.truncate(config_files.MAX_BYTES + 1)
    assert only(loaded(policies.parent), "file.too-large").subject == "policies/b.yaml"


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1_000_000, config_files.MAX_BYTES])
def test_a_text_of_every_size_is_read_to_its_end(tmp_path, size):
    path = tmp_path / "long.yaml"
    path.write_bytes(b"x" * size)
    assert config_files.read_text(path, "long.yaml").value == "x" * size


def test_a_folder_as_a_file_of_variables_is_a_mistake(policies):
    found = only(loaded(policies.parent, variables=[("--var-file", "policies")]), "file.not-a-file")
    assert "is a folder" in found.detail


def test_a_file_that_is_not_utf_8_tells_the_byte(policies):
    (policies / "b.yaml").write_bytes(b"version: 1\n# caf\xe9\n")
    assert "Byte 17 " in only(loaded(policies.parent), "file.not-utf-8").detail


def test_a_byte_order_mark_is_no_part_of_the_text(policies):
    (policies / "a.yaml").write_bytes(b"\xef\xbb\xbfverson: 1\n")
    first, *_ = loaded(policies.parent).diagnostics
    assert place(first) == ("policies/a.yaml", 1, 1)


@pytest.mark.parametrize("name", ["x" * 5_000, "nul\0byte.yaml", "a/" * 3_000])
def test_a_name_that_no_file_can_have_is_a_mistake(tmp_path, name):
    assert set(codes(loaded(tmp_path, paths=[name]))) == {"file.unreadable"}


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_permission_is_a_mistake(policies):
    (policies / "a.yaml").chmod(0)
    assert only(loaded(policies.parent), "file.unreadable").subject == "policies/a.yaml"


def test_a_file_that_can_not_be_opened_is_a_mistake(policies, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    found = loaded(policies.parent)
    assert codes(found) == ["file.unreadable"]
    assert "Permission denied" in found.diagnostics[0].detail


def test_a_folder_that_can_not_be_listed_is_a_mistake(policies, monkeypatch):
    listed = Path.iterdir

    def refuse(path: Path) -> Iterator[Path]:
        if path == policies:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refuse)
    found = loaded(policies.parent, paths=["policies"])
    assert codes(found) == ["file.unreadable"]


# Links


def test_a_link_in_a_folder_is_followed_inside_the_project(tmp_path):
    written(tmp_path, {PROJECT_FILE: project(), "shared/a.yaml": policy("a"), "policies/b.yaml": policy("b")})
    (tmp_path / "policies" / "linked").symlink_to("../shared")
    (tmp_path / "policies" / "file.yaml").symlink_to("../shared/a.yaml")
    found = loaded(tmp_path)
    assert codes(found) == ["policy.defined-twice"]
    (tmp_path / "policies" / "file.yaml").unlink()
    assert [pack.id for pack in sound(loaded(tmp_path)).packs] == ["a", "b"]


def test_links_in_a_circle_end(tmp_path):
    written(tmp_path, {PROJECT_FILE: project(), "policies/a.yaml": policy()})
    (tmp_path / "policies" / "again").symlink_to(".")
    (tmp_path / "policies" / "up").symlink_to("..")
    assert [list(pack.files) for pack in sound(loaded(tmp_path)).packs] == [["policies/a.yaml"]]


def test_a_link_to_itself_is_a_mistake(policies):
    (policies / "b.yaml").symlink_to("b.yaml")
    assert codes(loaded(policies.parent)) == ["file.outside-project"]
    assert codes(loaded(policies.parent, paths=["policies/b.yaml"])) == ["file.unreadable"]


def test_a_link_that_leads_nowhere_is_a_mistake(policies):
    (policies / "b.yaml").symlink_to("c.yaml")
    assert only(loaded(policies.parent), "file.not-found").subject == "policies/b.yaml"


SECRET = "TOP-SECRET"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A project beside a folder with something that its diagnostics must not show."""
    written(tmp_path, {"outside/secret.yaml": f"{SECRET}: [", "project/policies/a.yaml": policy()})
    return written(tmp_path / "project", {PROJECT_FILE: project()})


LINKS = {
    "policies/b.yaml": "../../outside/secret.yaml",
    "policies/folder": "../../outside",
    "auditor.vars.yaml": "../outside/secret.yaml",
    "x.auto.vars.yaml": "../outside/secret.yaml",
}


@pytest.mark.parametrize("link", LINKS)
def test_a_link_out_of_the_project_is_refused_and_not_read(outside, link):
    (outside / link).symlink_to(LINKS[link])
    found = only(loaded(outside), "file.outside-project")
    assert link in found.detail
    assert SECRET not in repr(found)


def test_a_project_file_that_links_out_of_the_project_is_refused(outside):
    (outside / PROJECT_FILE).unlink()
    (outside / PROJECT_FILE).symlink_to("../outside/secret.yaml")
    assert SECRET not in repr(only(loaded(outside), "file.outside-project"))


@pytest.mark.parametrize(
    "name", ["../outside", "../outside/secret.yaml", "policies/../../outside", "/etc/hostname"]
)
def test_a_path_out_of_the_project_is_refused_and_not_read(outside, name):
    found = only(loaded(outside, {PROJECT_FILE: project(f"[{name}]")}), "file.outside-project")
    assert place(found) == (PROJECT_FILE, 2, 12)
    assert SECRET not in repr(found)


def test_a_resource_kind_outside_of_the_project_is_refused_and_not_read(outside):
    text = project(more="resources: [../outside/secret.yaml]\n")
    assert SECRET not in repr(only(loaded(outside, {PROJECT_FILE: text}), "file.outside-project"))


def test_a_link_in_a_folder_of_the_command_line_stays_in_that_folder(outside):
    (outside / "policies" / "b.yaml").symlink_to("../../outside/secret.yaml")
    assert SECRET not in repr(only(loaded(outside, paths=["policies"]), "file.outside-project"))


# Packs


def test_files_of_one_pack_belong_together(tmp_path):
    files = {"b.yaml": policy("p", "two"), "a.yaml": policy("p", "one").replace(", title: Pack p", "")}
    (pack,) = sound(loaded(tmp_path, files, paths=["b.yaml", "a.yaml"])).packs
    assert (pack.id, pack.title, list(pack.files)) == ("p", "Pack p", ["a.yaml", "b.yaml"])


def test_a_pack_without_a_title_is_called_by_its_id(tmp_path):
    files = {"a.yaml": policy("p").replace(", title: Pack p", "")}
    assert sound(loaded(tmp_path, files, paths=["a.yaml"])).packs[0].title == "p"


def test_a_check_or_a_variable_is_defined_once_in_a_pack(tmp_path):
    variables = "{x: {type: integer, default: 1}}"
    files = {"a.yaml": policy("p", variables=variables), "b.yaml": policy("p", variables=variables)}
    checked = loaded(tmp_path, files, paths=["."])
    assert [(d.code, place(d)) for d in checked.diagnostics] == [
        ("policy.defined-twice", ("b.yaml", 3, 13)),
        ("policy.defined-twice", ("b.yaml", 5, 3)),
    ]
    assert all("a.yaml" in d.detail for d in checked.diagnostics)


def test_packs_may_define_the_same_check(tmp_path):
    files = {"a.yaml": policy("p"), "b.yaml": policy("q")}
    assert len(sound(loaded(tmp_path, files, paths=["."])).packs) == 2


def test_a_project_changes_checks_of_a_pack(tmp_path):
    text = project("[{pack: policies, exclude: {one: not here}, severity: {two: low}}]")
    files = {PROJECT_FILE: text, "policies/a.yaml": policy("p", "one", "two")}
    (pack,) = sound(loaded(tmp_path, files)).packs
    assert (pack.excluded, pack.severities) == ({"one": "not here"}, {"two": "low"})


def test_what_two_entries_say_of_the_same_file_counts_together(tmp_path):
    """A second entry for a file that is read already must not be ignored without a word."""
    text = project("[policies, {pack: policies/a.yaml, exclude: {one: not here}}, policies]")
    files = {PROJECT_FILE: text, "policies/a.yaml": policy("p")}
    (pack,) = sound(loaded(tmp_path, files)).packs
    assert pack.excluded == {"one": "not here"}


def test_unknown_checks_in_an_entry_are_mistakes(tmp_path):
    text = project("\n  - pack: policies\n    exclude: {oen: why}\n    severity: {three: low}")
    files = {PROJECT_FILE: text, "policies/a.yaml": policy("p", "one", "two")}
    found = loaded(tmp_path, files).diagnostics
    assert [(d.code, place(d), d.help) for d in found] == [
        ("project.unknown-check", (PROJECT_FILE, 4, 15), 'did you mean "one"?'),
        ("project.unknown-check", (PROJECT_FILE, 5, 16), "known here: one, two"),
    ]


def test_checks_are_not_unknown_where_their_file_has_mistakes(tmp_path):
    text = project("[{pack: policies, exclude: {two: why}, variables: {x: 1}}]")
    files = {
        PROJECT_FILE: text,
        "policies/a.yaml": policy("p"),
        "policies/b.yaml": policy("p", "two") + "more: 1",
    }
    assert codes(loaded(tmp_path, files)) == ["schema.unknown-key"]


def test_variables_of_a_folder_go_to_the_packs_that_declare_them(tmp_path):
    text = project("[{pack: policies, variables: {x: 5}}]")
    files = {
        PROJECT_FILE: text,
        "policies/a.yaml": policy("a", variables="{x: {type: integer}}"),
        "policies/b.yaml": policy("b"),
    }
    assert sound(loaded(tmp_path, files)).values == {
        ("default", "a"): {"var.x": sound(loaded(tmp_path)).values["default", "a"]["var.x"]},
        ("default", "b"): {},
    }


def test_accepted_values_belong_to_an_attribute_with_known_values(tmp_path):
    more = "accept_values:\n  action.type: [NEW.TYPE]\n  acton.type: [X]\n  resources.id: [X]\n"
    files = {PROJECT_FILE: project(more=more), "policies/a.yaml": policy()}
    found = loaded(tmp_path, files).diagnostics
    assert [(d.code, place(d)) for d in found] == [
        ("policy.unknown-attribute", (PROJECT_FILE, 5, 3)),
        ("policy.unknown-attribute", (PROJECT_FILE, 6, 3)),
    ]
    assert "action.type" in found[0].help
    written(tmp_path, {PROJECT_FILE: project(more="accept_values: {action.type: [NEW.TYPE]}")})
    assert sound(loaded(tmp_path)).accept_values == {"action.type": ("NEW.TYPE",)}


# All mistakes at once


def test_mistakes_of_project_policies_and_variables_are_told_together_in_order(tmp_path):
    more = f"environments:\n  prod: {{id: {ID}, region: XX, variables: {{cpa: 1}}}}\n"
    found = loaded(
        tmp_path,
        {
            PROJECT_FILE: project("[policies, nothing]", more),
            "policies/b.yaml": policy("b", variables="{cap: {type: integer}}"),
            "policies/a.yaml": policy("a") + "more: 1\n",
            "auditor.vars.yaml": "x: 1\nx: 2\n",
        },
        variables=[("--var", "nonsense")],
        allow_hosts=[],
    )
    assert [(d.code, d.location and d.location.file) for d in found.diagnostics] == [
        ("variable.bad-option", None),
        ("yaml.duplicate-key", "auditor.vars.yaml"),
        ("file.not-found", PROJECT_FILE),
        ("project.unknown-region", PROJECT_FILE),
        ("schema.unknown-key", "policies/a.yaml"),
    ]


def test_policies_are_checked_though_the_project_file_has_mistakes(tmp_path):
    """Its sound keys still tell which policies there are."""
    files = {
        PROJECT_FILE: project(more="resorces: []\nenvironments: {prod: {}}\n"),
        "policies/a.yaml": policy() + "more: 1\n",
        "b.yaml": policy("b") + "more: 1\n",
    }
    found = loaded(tmp_path, files)
    assert codes(found) == ["schema.unknown-key", "schema.missing-key", "schema.unknown-key"]
    assert codes(loaded(tmp_path, paths=["b.yaml"])) == codes(found)


@pytest.mark.parametrize("text", ["version: [", "- a\n", "version: 1\npolicies: 5\n", ""])
def test_a_project_file_of_which_nothing_is_sound_is_told_alone(tmp_path, text):
    files = {PROJECT_FILE: text, "policies/a.yaml": "x"}
    found = loaded(tmp_path, files)
    assert {d.location.file for d in found.diagnostics if d.location} == {PROJECT_FILE}
    assert found.value is None


def test_what_is_sound_can_be_compiled_for_further_mistakes(tmp_path):
    """A pack with a mistake is marked, since an unread file may declare what its other files refer to."""
    files = {
        "a.yaml": policy("a"),
        "b1.yaml": policy("b", "one"),
        "b2.yaml": policy("b", "two") + "more: 1\n",
        "c.yaml": policy("c", variables="{x: {type: integer}}"),
    }
    request = Request(folder=written(tmp_path, files), environ={}, paths=["."])
    readable = load_readable(request)
    assert readable.value
    assert [pack.id for pack in readable.value.packs] == ["a", "b", "c"]
    assert readable.value.incomplete == {"b", "c"}
    assert [environment.name for environment in readable.value.environments] == ["default"]
    strict = load(request)
    assert (strict.value, strict.diagnostics) == (None, readable.diagnostics)


@pytest.mark.parametrize("text", ["[", "pack: x", "pack: {id: 5}", "pack: {id: [a]}"])
def test_beside_a_file_of_an_unknown_pack_no_pack_is_taken_for_complete(tmp_path, text):
    request = Request(
        folder=written(tmp_path, {"a.yaml": policy("a"), "b.yaml": text}), environ={}, paths=["."]
    )
    readable = load_readable(request)
    assert readable.value
    assert [pack.id for pack in readable.value.packs] == ["a"]
    assert readable.value.incomplete == {"a"}


def test_nothing_can_be_compiled_beside_a_project_file_or_a_resource_kind_with_mistakes(tmp_path):
    broken = project(more="more: 1")
    request = Request(
        folder=written(tmp_path, {PROJECT_FILE: broken, "policies/a.yaml": policy()}), environ={}
    )
    assert load_readable(request).value is None
    written(tmp_path, {PROJECT_FILE: project(more="resources: [r.yaml]"), "r.yaml": "version: 1\n"})
    assert load_readable(request).value is None


def test_locations_come_in_the_order_of_file_and_line_and_each_once():
    def at(file: str, *route: str) -> Diagnostic:
        from auditor.model.source import Address

        return Diagnostic(code="x.y", summary="s", address=Address(file=file, route=route))

    sources = {"a": "x: 1\ny: 2\n", "b": "x: 1\n"}
    given = [
        at("b", "x"),
        at("a", "y"),
        at("a", "x"),
        at("a", "y"),
        at("0", "x"),
        Diagnostic(code="x.y", summary="s"),
    ]
    found = located(given, sources)
    assert [
        (d.location.file, d.location.line) if d.location else d.address and d.address.file for d in found
    ] == [
        None,
        "0",
        ("a", 1),
        ("a", 2),
        ("b", 1),
    ]


def test_nothing_is_asked_where_there_is_a_mistake(tmp_path, monkeypatch):
    """Not even a socket is made."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was made")

    monkeypatch.setattr(socket, "socket", refuse)
    files = {PROJECT_FILE: project(), "policies/a.yaml": policy() + "more: 1\n"}
    report = app.check(app.Job(folder=written(tmp_path, files), environ={}))
    assert report.exit_code == 1
    assert [problem.code for problem in report.problems] == ["schema.unknown-key"]

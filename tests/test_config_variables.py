"""Variables: every place that a value can come from, what types make of it, and that secrets stay secret."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from auditor import app
from auditor.config import PROJECT_FILE, Request, load, yaml
from auditor.config.request import AUTOMATIC_FILES, VARIABLES_FILE
from auditor.config.variables import ENVIRONMENT_PREFIX
from auditor.model.diagnostic import Checked
from auditor.model.project import Project
from auditor.model.value import Value
from auditor.reporter import render_diagnostics
from tests.support import ROOT
from tests.test_config_project import ID, codes, loaded, only, place, policy, project, sound, written

TYPES: Any = yaml.load((ROOT / "tests/spec/config/types.yaml").read_text("utf-8"), "types.yaml").value

PLACES = (
    "default",
    "pack entry",
    "environment",
    "AUDITOR_VAR_x",
    "auditor.vars.yaml",
    "a.auto.vars.yaml",
    "b.auto.vars.yaml",
    "--var-file",
    "--var",
)
"""Every place of a value, the weakest first."""


@dataclass
class Scene:
    """A project with one variable `x` of the pack `mine`, and what gives it a value."""

    given: dict[str, Any] = field(default_factory=dict)
    declaration: str = "type: string"
    files: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    options: list[tuple[str, str]] = field(default_factory=list)

    def load(self, folder: Path) -> Checked[Project]:
        at = {place: json.dumps({"x": value}) for place, value in self.given.items()}
        entry = f"{{pack: policies, variables: {at.get('pack entry', '{}')}}}"
        environment = f"{{id: {ID}, region: NA, variables: {at.get('environment', '{}')}}}"
        default = f", default: {json.dumps(self.given['default'])}" if "default" in self.given else ""
        files = {
            PROJECT_FILE: project(f"[{entry}]", f"environments: {{prod: {environment}}}\n"),
            "policies/a.yaml": policy(variables=f"{{x: {{{self.declaration}{default}}}}}"),
            **{place: text for place, text in at.items() if place.endswith(".yaml")},
            **self.files,
        }
        options = list(self.options)
        if "--var-file" in at:
            files["given/file.yaml"] = at["--var-file"]
            options.append(("--var-file", "given/file.yaml"))
        if "--var" in at:
            options.append(("--var", f"x={self.given['--var']}"))
        environ = dict(self.environ)
        if "AUDITOR_VAR_x" in at:
            environ["AUDITOR_VAR_x"] = str(self.given["AUDITOR_VAR_x"])
        return load(Request(folder=written(folder, files), environ=environ, variables=options))


def value(checked: Checked[Project], name: str = "x", environment: str = "prod", pack: str = "mine") -> Value:
    return sound(checked).values[environment, pack][f"var.{name}"]


# Precedence


@settings(deadline=None)
@given(st.sets(st.sampled_from(PLACES), min_size=1))
def test_of_all_places_that_give_a_value_the_strongest_wins(places):
    with tempfile.TemporaryDirectory() as folder:
        found = value(Scene(given={place: f"from {place}" for place in places}).load(Path(folder)))
    strongest = max(places, key=PLACES.index)
    assert found.json == f"from {strongest}"
    origins = {"pack entry": PROJECT_FILE, "environment": PROJECT_FILE, "--var-file": "given/file.yaml"}
    assert found.origin == origins.get(strongest, strongest)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([("--var", "x=1"), ("--var", "x=2")], "2"),
        ([("--var", "x=2"), ("--var", "x=1")], "1"),
        ([("--var", "x=1"), ("--var-file", "x.yaml")], "file"),
        ([("--var-file", "x.yaml"), ("--var", "x=1")], "1"),
        ([("--var", "mine.x=1"), ("--var", "x=2")], "2"),
        ([("--var", "x=2"), ("--var", "mine.x=1")], "1"),
        ([("--var", "x=a=b")], "a=b"),
        ([("--var", "x=")], ""),
    ],
)
def test_of_options_the_last_one_wins(tmp_path, options, expected):
    assert value(Scene(files={"x.yaml": "x: file"}, options=options).load(tmp_path)).json == expected


@pytest.mark.parametrize("text", ["x: 1st\nmine.x: 2nd\n", "mine.x: 2nd\nx: 1st\n"])
def test_in_a_file_the_value_for_a_pack_wins_whatever_the_order_of_keys(tmp_path, text):
    assert value(Scene(files={VARIABLES_FILE: text}).load(tmp_path)).json == "2nd"


def test_a_value_goes_to_every_pack_that_declares_it_or_to_the_one_that_is_named(tmp_path):
    files = {
        "a.yaml": policy("a.b", variables="{x: {type: integer}}"),
        "c.yaml": policy("c", variables="{x: {type: integer, default: 0}}"),
    }
    everywhere = loaded(tmp_path, files, paths=["."], variables=[("--var", "x=1")])
    assert [value(everywhere, environment="default", pack=pack).json for pack in ("a.b", "c")] == [1, 1]
    one = loaded(tmp_path, paths=["."], variables=[("--var", "a.b.x=1")])
    assert [value(one, environment="default", pack=pack).json for pack in ("a.b", "c")] == [1, 0]


def test_environments_have_values_of_their_own(tmp_path):
    environments = "".join(
        f"  {name}: {{id: {ID}, region: NA, variables: {given}}}\n"
        for name, given in (("prod", "{x: p}"), ("test", "{mine.x: t}"), ("none", "{}"))
    )
    files = {
        PROJECT_FILE: project(more=f"environments:\n{environments}"),
        "policies/a.yaml": policy(variables="{x: {type: string, default: d}}"),
    }
    checked = loaded(tmp_path, files, choose=False)
    assert [value(checked, environment=name).json for name in ("prod", "test", "none")] == ["p", "t", "d"]


def test_hidden_files_give_no_values(tmp_path):
    assert AUTOMATIC_FILES.startswith("*")
    scene = Scene(
        given={"default": "d"}, files={".x.auto.vars.yaml": "x: hidden", "sub/y.auto.vars.yaml": "x: deep"}
    )
    assert value(scene.load(tmp_path)).json == "d"


def test_an_empty_file_of_variables_gives_none(tmp_path):
    assert (
        value(Scene(given={"default": "d"}, files={VARIABLES_FILE: "# nothing yet\n"}).load(tmp_path)).json
        == "d"
    )


# Types


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(c, id=f"{c['type']}: {c.get('value', c.get('text'))!r}")
        for g in TYPES
        for c in g["cases"]
    ],
)
def test_a_type_makes_of_a_value_what_the_table_says(tmp_path, case):
    scene = Scene(declaration=f"type: {case['type']}")
    if "text" in case:
        scene.environ["AUDITOR_VAR_x"] = case["text"]
    else:
        scene.given[VARIABLES_FILE] = case["value"]
    checked = scene.load(tmp_path)
    if "result" in case:
        assert json.dumps(value(checked).json) == json.dumps(case["result"])
    else:
        found = only(checked, "variable.wrong-type")
        assert f'"x" must be of the type {case["type"]}: ' in found.detail
        assert case["error"] in found.detail
        assert found.subject == ("AUDITOR_VAR_x" if "text" in case else "")


@pytest.mark.parametrize("type_name", ["string", "list(string)"])
def test_bytes_that_are_no_text_are_refused(tmp_path, type_name):
    """Python hands on what is not UTF-8 in the environment and the command line as lone surrogates."""
    scene = Scene(declaration=f"type: {type_name}", environ={"AUDITOR_VAR_x": "caf\udce9"})
    assert "it is not UTF-8" in only(scene.load(tmp_path), "variable.wrong-type").detail


def test_a_wrong_value_is_shown_where_it_stands(tmp_path):
    found = only(
        Scene(declaration="type: integer", given={"environment": "many"}).load(tmp_path),
        "variable.wrong-type",
    )
    assert found.location
    assert found.location.snippet[found.location.column - 1 : found.location.end_column - 1] == '"many"'


# Mistakes


@pytest.mark.parametrize(
    ("scene", "where", "hint"),
    [
        (Scene(files={VARIABLES_FILE: "y: 1\nxx: 1\n"}), VARIABLES_FILE, 'did you mean "x"?'),
        (Scene(environ={f"{ENVIRONMENT_PREFIX}X": "1"}), f"{ENVIRONMENT_PREFIX}X", 'did you mean "x"?'),
        (Scene(options=[("--var", "mien.x=1")]), "--var", 'did you mean "mine"?'),
        (Scene(options=[("--var", "mine.xx=1")]), "--var", 'did you mean "x"?'),
    ],
)
def test_a_name_that_no_pack_declares_is_a_mistake_wherever_it_stands(tmp_path, scene, where, hint):
    """A misspelt one would leave a default in force without a word."""
    scene.given["default"] = "d"
    checked = scene.load(tmp_path)
    assert set(codes(checked)) == {"variable.undeclared"}
    last = checked.diagnostics[-1]
    assert (last.location.file if last.location else last.subject) == where
    assert last.help == hint


def test_undeclared_names_in_the_project_are_shown_by_their_keys(tmp_path):
    checked = Scene(
        given={"default": "d"},
        files={
            PROJECT_FILE: project(
                "\n  - pack: policies\n    variables: {yy: 1}",
                f"environments:\n  prod: {{id: {ID}, region: NA, variables: {{zz: 1}}}}\n",
            )
        },
    ).load(tmp_path)
    assert [(d.code, place(d)) for d in checked.diagnostics] == [
        ("variable.undeclared", (PROJECT_FILE, 4, 17)),
        ("variable.undeclared", (PROJECT_FILE, 6, 76)),
    ]


def test_a_value_where_no_pack_declares_any_is_to_be_removed(tmp_path):
    checked = loaded(tmp_path, {"a.yaml": policy()}, paths=["a.yaml"], variables=[("--var", "x=1")])
    assert only(checked, "variable.undeclared").help == "Remove it."


def test_a_variable_without_a_value_says_how_to_give_one(tmp_path):
    found = only(
        Scene(declaration="type: list(string), description: Who may").load(tmp_path), "variable.not-given"
    )
    assert place(found) == ("policies/a.yaml", 3, 13)
    assert found.detail == 'The pack "mine" needs "x": Who may'
    assert "--var 'x=[…]'" in found.help
    assert "AUDITOR_VAR_x" in found.help


@pytest.mark.parametrize(
    ("type_name", "example"), [("map(string)", "x={…}"), ("integer", "x=100"), ("duration", "x=15m")]
)
def test_the_example_of_a_value_is_of_the_type(tmp_path, type_name, example):
    assert example in only(Scene(declaration=f"type: {type_name}").load(tmp_path), "variable.not-given").help


def test_a_missing_value_is_told_once_for_all_environments(tmp_path):
    files = {
        PROJECT_FILE: project(
            more=f"environments: {{a: {{id: {ID}, region: NA}}, b: {{id: {ID}, region: NA}}}}\n"
        ),
        "policies/a.yaml": policy(variables="{x: {type: integer}}"),
    }
    assert codes(loaded(tmp_path, files, choose=False)) == ["variable.not-given"]


def test_values_are_checked_though_no_environment_is_chosen(tmp_path):
    files = {
        PROJECT_FILE: project(
            more=f"environments: {{a: {{id: {ID}, region: NA}}, b: {{id: {ID}, region: NA}}}}\n"
        ),
        "policies/a.yaml": policy(variables="{x: {type: integer}}"),
    }
    assert codes(loaded(tmp_path, files)) == ["project.choose-environment", "variable.not-given"]


def test_no_value_is_missing_where_a_file_of_values_can_not_be_read(tmp_path):
    checked = Scene(files={VARIABLES_FILE: "x: ["}).load(tmp_path)
    assert codes(checked) == ["yaml.syntax"]


@pytest.mark.parametrize("text", ["[x]", "x", "5"])
def test_a_file_of_variables_is_a_mapping(tmp_path, text):
    found = only(
        Scene(given={"default": "d"}, files={VARIABLES_FILE: text}).load(tmp_path), "schema.wrong-type"
    )
    assert place(found) == (VARIABLES_FILE, 1, 1)


@pytest.mark.parametrize("text", ["x", "=5", "mine.=5", ""])
def test_an_option_without_a_name_or_a_value_is_a_mistake(tmp_path, text):
    found = only(
        Scene(given={"default": "d"}, options=[("--var", text)]).load(tmp_path), "variable.bad-option"
    )
    assert found.subject == "--var"


# Validation


def test_a_value_that_the_pack_refuses_tells_why_and_where_it_came_from(tmp_path):
    declaration = "type: integer, validation: {condition: '@ > `0`', message: It must be positive.}"
    found = only(Scene(declaration=declaration, given={"--var": -5}).load(tmp_path), "variable.invalid")
    assert found.detail == '-5 (from --var) is refused for "x": It must be positive.'
    assert place(found)[0] == "policies/a.yaml"


def test_a_value_that_the_pack_allows_passes(tmp_path):
    declaration = "type: duration, validation: {condition: '@ <= `3600`', message: An hour.}"
    assert value(Scene(declaration=declaration, given={"--var": "1h"}).load(tmp_path)).json == 3600


@pytest.mark.parametrize("condition", ["length(@)", "@", "`null`", "foo"])
def test_a_condition_that_is_neither_true_nor_false_refuses_the_value(tmp_path, condition):
    declaration = f"type: string, validation: {{condition: '{condition}', message: m}}"
    found = only(Scene(declaration=declaration, given={"default": "d"}).load(tmp_path), "variable.invalid")
    assert "neither true nor false" in found.detail


@pytest.mark.parametrize("given", [{}, {"default": "d"}])
def test_a_condition_with_a_mistake_is_told_with_or_without_a_value(tmp_path, given):
    declaration = "type: string, validation: {condition: 'lenght(@) > `1`', message: m}"
    checked = Scene(declaration=declaration, given=given).load(tmp_path)
    found = checked.diagnostics[-1]
    assert (found.code, found.help) == ("jmes.unknown-function", 'did you mean "length"?')
    assert found.location
    assert found.location.snippet[found.location.column - 1 :].startswith("lenght")


def test_a_condition_that_can_not_be_evaluated_is_told(tmp_path):
    declaration = "type: string, validation: {condition: '@ > `1`', message: m}"
    assert codes(Scene(declaration=declaration, given={"default": "d"}).load(tmp_path)) == ["jmes.type-error"]


# Sensitive values

CANARY = "C4N4RY"


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """A project with a sensitive variable that is given in many places, and mistakes all around."""
    shapes = (CANARY, [CANARY], {"k": CANARY}, [[CANARY, 5]], f"a\n{CANARY}", f"{CANARY}: [")
    scene = Scene(
        given={place: draw(st.sampled_from(shapes)) for place in draw(st.sets(st.sampled_from(PLACES)))},
        declaration=f"type: {draw(st.sampled_from(['string', 'integer', 'list(integer)', 'map(string)', 'timestamp']))}"
        ", sensitive: true",
    )
    conditions = [
        "@ == 'x'",
        "@ > `1`",
        "length(@)",
        "age_days(@) > `1`",
        "sum(@) > `1`",
        "to_number(@) > `0`",
        "@ ==",
    ]
    if draw(st.booleans()):
        scene.declaration += f', validation: {{condition: "{draw(st.sampled_from(conditions))}", message: m}}'
    broken = [
        f"x: {CANARY}\nx: {CANARY}2\n",
        f"x: [{CANARY}\n",
        f"x: {CANARY}: {CANARY}\n",
        f"{{x: {CANARY}, y: 1}}\n",
        f"x: !{CANARY} {CANARY}\n",
        f"x: '{CANARY}\n",
        f"message: [{CANARY}]: x\n",
        f"xx: {CANARY}\n",
        f"- {CANARY}\n",
        f"mien.x: {CANARY}\n",
        f"x: .inf # {CANARY}\n",
        f"x: *{CANARY}\n",
        f"{{x: *{CANARY}, y: 12:00}}\n",
        f"x: &{CANARY} 1\ny: &{CANARY} 2\n",
        f"{{x: !{CANARY}! 1, y: 12:00}}\n",
        f"%{CANARY}\n---\nx: 1\n",
    ]
    for name in draw(st.sets(st.sampled_from([VARIABLES_FILE, "a.auto.vars.yaml", "given/file.yaml"]))):
        scene.files[name] = draw(st.sampled_from(broken))
    if draw(st.booleans()):
        bad_option = draw(st.sampled_from([f"x:{CANARY}", f"xx={CANARY}", f"={CANARY}", f"mien.x={CANARY}"]))
        scene.options.append(("--var", bad_option))
    if draw(st.booleans()):
        scene.environ[f"{ENVIRONMENT_PREFIX}xx"] = CANARY
    projects = [
        f"environments: {{prod: {{id: x, rgion: NA, variables: {{x: {CANARY}}}}}}}\n",
        f"environments: {{prod: {{id: x, region: XX, variables: {{x: {CANARY}, yy: 1}}}}}}\n",
        f"environments:\n  prod:\n    id: x\n    credentials: {{client_secret: {CANARY}}}\n",
        f"environments:\n  prod:\n    id: x\n    credentials: {{client_secrt: {CANARY}}}\n",
    ]
    if draw(st.booleans()):
        scene.files[PROJECT_FILE] = project(more=draw(st.sampled_from(projects)))
    if draw(st.booleans()):
        scene.files["policies/b.yaml"] = draw(st.sampled_from(["version: [", policy("b") + "more: 1\n"]))
    return scene


@settings(deadline=None)
@given(scenes())
@example(Scene(declaration="type: strng, sensitive: true", given={"default": CANARY}))
@example(Scene(declaration="type: integer, sensitive: yes", given={"default": CANARY}))
@example(
    Scene(declaration="type: integer, sensitive: true", given={"default": CANARY, "auditor.vars.yaml": 1})
)
def test_a_sensitive_value_is_in_no_diagnostic(scene):
    """Neither in words nor in the line that is shown, whatever else is wrong around it."""
    with tempfile.TemporaryDirectory() as folder:
        checked = scene.load(Path(folder))
        assert CANARY not in repr(checked.diagnostics)
        assert CANARY not in render_diagnostics(checked.diagnostics, width=200, color=False)
        assert CANARY not in app.diagnostics_document(checked.diagnostics)
        assert CANARY not in repr(checked.value and checked.value.values)


def test_the_place_of_a_sensitive_mistake_is_told_without_its_line(tmp_path):
    scene = Scene(declaration="type: integer, sensitive: true", files={VARIABLES_FILE: "# a\nx: many\n"})
    found = only(scene.load(tmp_path), "variable.wrong-type")
    assert place(found) == (VARIABLES_FILE, 2, 4)
    assert found.location
    assert found.location.snippet == ""


def test_lines_are_shown_where_no_variable_is_sensitive(tmp_path):
    found = only(
        Scene(declaration="type: integer", files={VARIABLES_FILE: "x: many\n"}).load(tmp_path),
        "variable.wrong-type",
    )
    assert found.location
    assert found.location.snippet == "x: many"


def test_what_is_wrong_with_a_default_is_mended_there(tmp_path):
    found = only(Scene(declaration="type: integer, default: '3'").load(tmp_path), "variable.wrong-type")
    assert found.help == "Write a value such as 100."


def test_the_help_of_a_hidden_line_does_not_show_it_either(tmp_path):
    files = {
        "policies/a.yaml": policy(variables="{title: {type: string, sensitive: true}}"),
        VARIABLES_FILE: f"title: {CANARY}: x\n",
        PROJECT_FILE: project(),
    }
    found = only(loaded(tmp_path, files), "yaml.syntax")
    assert found.help == "A text that holds a colon and a space must stand in quotes"
    assert CANARY not in repr(found)


def test_lines_beside_a_sensitive_default_are_shown(tmp_path):
    files = {
        "a.yaml": policy(
            variables="{x: {type: string, sensitive: true, default: ''}, y: {type: string, default: 5}}"
        ).replace(", y: ", ",\n  y: ")
    }
    found = only(loaded(tmp_path, files, paths=["a.yaml"]), "variable.wrong-type")
    assert found.location
    assert found.location.snippet.strip().startswith("y: ")

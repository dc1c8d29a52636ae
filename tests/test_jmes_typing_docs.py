"""The page on expressions says what the program does."""

from __future__ import annotations

import json
import re
from itertools import product
from typing import Any

import pytest

from auditor.config import shipped_kinds
from auditor.jmes import (
    FUNCTIONS,
    Checking,
    Missing,
    Type,
    Undecided,
    check,
    compile,  # noqa: A004
    list_of,
    parse,
    type_of,
)
from auditor.jmes.functions import AS_OF
from tests.support import ROOT
from tests.test_jmes_typing import known_values

PAGE = (ROOT / "docs" / "expressions.md").read_text(encoding="utf-8")
EVENT = json.loads(re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1])  # type: ignore[index]
KIND = shipped_kinds()["activities"]
RECORD = type_of(KIND.item, known_values(KIND))


def rows(*heads: str) -> list[list[str]]:
    """The rows of all tables whose heads begin so, as cells without their code marks."""
    found: list[list[str]] = []
    inside = False
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            inside = False
        elif cells[: len(heads)] == list(heads):
            inside = True
        elif inside and not set("".join(cells)) <= {"-"}:
            found.append([code(cell) for cell in cells])
    return found


def code(cell: str) -> str:
    """The text of a code span; in tables a bar is escaped."""
    return cell.removeprefix("`").removeprefix("` ").removesuffix("`").removesuffix(" `").replace("\\|", "|")


def given(text: str) -> tuple[Any, Type]:
    """The value and type that an example works on."""
    whole = text.startswith("[?") or text == "length(@)"
    return ([EVENT], list_of(RECORD)) if whole else (EVENT, RECORD)


def checked(text: str, **options: Any) -> Checking:
    return check(parse(text), given(text)[1], **options)


@pytest.mark.parametrize(("text", "result"), [row[:2] for row in rows("Expression", "Gives")])
def test_an_example_gives_what_the_page_says(text, result):
    checking = checked(text)
    found = compile(checking.node).search(given(text)[0])

    assert not checking.mistakes
    assert json.dumps(found) == json.dumps(json.loads(result))


@pytest.mark.parametrize("text", [row[0] for row in rows("Expression", "Where there is no user")])
def test_a_way_to_decide_decides(text):
    checking = checked(text)
    missing = Missing(select=False)

    assert not checking.mistakes
    assert not checking.warnings
    assert not isinstance(compile(checking.node).decide(given(text)[0], missing), Undecided)
    assert not missing.found


TRAPS = re.findall(r"```text\n(.*)\n( *)(\^+) (.*)\n```", PAGE)


@pytest.mark.parametrize(("text", "indent", "marks", "said"), TRAPS, ids=[trap[0] for trap in TRAPS])
def test_a_mistake_on_the_page_is_told_as_it_is_there(text, indent, marks, said):
    checking = checked(text)
    (mistake,) = checking.mistakes or checking.warnings

    assert mistake.span == (len(indent), len(indent) + len(marks))
    assert f"{mistake.summary}: {mistake.detail}; {mistake.help}" == said


@pytest.mark.parametrize(("error", "text"), [row[:2] for row in rows("Code", "Example")])
def test_a_code_of_the_page_is_that_of_its_example(error, text):
    result = {"jmes.not-boolean": "boolean", "jmes.not-a-list-result": "list"}.get(error)

    assert [mistake.code for mistake in checked(text, result=result).mistakes] == [error]


TERMS = {"true": "`true`", "false": "`false`", "undecided": "lower(absent)"}


def test_the_truth_table_is_complete_and_true():
    table = rows("`a`", "`b`")

    assert [tuple(row[:2]) for row in table] == list(product(TERMS, TERMS))
    for left, right, *expected in table:
        texts = (f"{TERMS[left]} && {TERMS[right]}", f"{TERMS[left]} || {TERMS[right]}", f"!{TERMS[left]}")
        results = [compile(parse(text)).decide({}, Missing(select=False)) for text in texts]
        assert ["undecided" if isinstance(r, Undecided) else json.dumps(r) for r in results] == expected


WORDS = {"null": "null", "boolean": "true or false", "number": "number", "string": "text", "array": "list"}


def function_row(name: str) -> str:
    """The row of a function in the page's table."""
    function = FUNCTIONS[name]
    result = " or ".join(WORDS.get(kind, kind) for kind in function.result)
    example = function.example
    given, found = (json.dumps(value, ensure_ascii=False) for value in (example.given, example.result))
    return (
        f"| `{function}`{'' if function.standard else ' †'} "
        f"| {'anything' if len(function.result) == 6 else result} | {function.summary} "
        f"| `` {example.expression} `` on `{given}` gives `{found}` |"
    )


def test_the_table_of_functions_is_that_of_the_program():
    (table,) = re.findall(r"<!-- functions.*?-->\n\n(.*?)\n\n<!-- /functions -->", PAGE, re.DOTALL)
    head = ["| Function | Gives | | Example |", "| --- | --- | --- | --- |"]

    assert table.splitlines() == [*head, *map(function_row, FUNCTIONS)]


def test_the_examples_of_functions_are_evaluated_at_the_instant_that_the_page_names():
    assert AS_OF.strftime("%Y-%m-%dT%H:%M:%SZ") in PAGE

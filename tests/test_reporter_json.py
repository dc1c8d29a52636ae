"""The JSON report, as programs read it."""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from auditor.model.verdict import Status
from auditor.reporter import render
from tests.reports import HOSTILE, SAMPLES, everywhere, outcome, report, verdict, violation
from tests.support import ROOT

SCHEMA = json.loads((ROOT / "schemas/report.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
WRONG = YAML(typ="safe").load(ROOT / "tests/spec/reporter/wrong-documents.yaml")
ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from(HOSTILE))


def parsed(of):
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON (RFC 8259, section 6)")

    return json.loads(render(of, "json"), parse_constant=refuse)


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_report_is_valid_under_its_schema(sample):
    VALIDATOR.validate(parsed(SAMPLES[sample]))


@pytest.mark.parametrize("row", WRONG, ids=lambda row: str(row["because"]))
def test_a_wrong_document_is_not_valid(row):
    document = parsed(SAMPLES["failures"])
    inner = document
    for step in row["at"][:-1]:
        inner = inner[step]
    if "value" in row:
        inner[row["at"][-1]] = row["value"]
    else:
        del inner[row["at"][-1]]
    assert not VALIDATOR.is_valid(document)


def test_the_schema_is_a_schema_and_leaves_no_object_open():
    Draft202012Validator.check_schema(SCHEMA)
    for schema in (SCHEMA, *SCHEMA["$defs"].values()):
        if "properties" in schema:
            assert schema["additionalProperties"] is False
            assert schema["required"] == list(schema["properties"])


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_keys_stand_in_the_order_of_the_schema(sample):
    document = parsed(SAMPLES[sample])
    assert list(document) == SCHEMA["required"]
    for found in document["verdicts"]:
        assert list(found) == SCHEMA["$defs"]["verdict"]["required"]


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_summary_says_what_a_reader_would_count(sample):
    document = parsed(SAMPLES[sample])
    found, ends = document["verdicts"], [asked["end"] for asked in document["asked"] if asked["end"]]
    status = Counter(one["status"] for one in found)
    level = Counter(one["level"] for one in document["problems"])
    assert document["summary"] == {
        "checks": len(found),
        "passed": status["pass"],
        "failed": status["fail"],
        "waived": sum(one["is_waived"] for one in found),
        "errors": status["error"],
        "skipped": status["skip"],
        **{key: sum(one[key] for one in found) for key in ("population", "exceptions", "undecided")},
        **{key: sum(end[key] for end in ends) for key in ("requests", "records")},
        "problem_errors": level["error"],
        "problem_warnings": level["warning"],
    }


def test_two_columns_of_indentation_and_a_newline_at_the_end():
    document = render(SAMPLES["errors"], "json")
    assert document.startswith('{\n  "format_version": "1.0",\n  "summary": {\n    "checks": 2,')
    assert document.endswith("}\n")


@settings(deadline=None)
@given(text=ANY_TEXT)
def test_every_text_comes_back_as_it_was(text):
    """But for two lone surrogates side by side, which JSON writes as the one character that they make."""
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    found = parsed(everywhere(text))["verdicts"][0]
    assert found["title"] == joined
    assert found["controls"] == {joined: [joined]}
    assert found["outcomes"][0]["violations"][0]["item"] == {joined: joined}


@settings(deadline=None)
@given(
    item=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_record_comes_back_as_it_was(item):
    before = deepcopy(item)
    outcomes = (outcome(Status.FAIL, exceptions=1, violations=(violation(item=item),)),)
    document = parsed(report(verdict(Status.FAIL, outcomes=outcomes)))
    assert document["verdicts"][0]["outcomes"][0]["violations"][0]["item"] == before


@pytest.mark.parametrize(("number", "text"), [("nan", "nan"), ("inf", "inf"), ("-inf", "-inf")])
def test_a_number_that_json_lacks_is_a_text(number, text):
    outcomes = (outcome(Status.FAIL, exceptions=1, violations=(violation(item=[float(number)]),)),)
    document = parsed(report(verdict(Status.FAIL, outcomes=outcomes)))
    assert document["verdicts"][0]["outcomes"][0]["violations"][0]["item"] == [text]


def test_a_record_may_be_nested_as_deep_as_a_tenant_likes():
    item: list[object] = []
    for _ in range(5_000):
        item = [item]
    outcomes = (outcome(Status.FAIL, exceptions=1, violations=(violation(item=item),)),)
    document = render(report(verdict(Status.FAIL, outcomes=outcomes)), "json")
    assert '"(nested too deep)"' in document


def test_what_no_report_can_hold_is_refused():
    outcomes = (outcome(Status.FAIL, exceptions=1, violations=(violation(item={1, 2}),)),)
    with pytest.raises(TypeError, match="set"):
        render(report(verdict(Status.FAIL, outcomes=outcomes)), "json")

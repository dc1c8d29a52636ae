"""Personal data: what evaluation marks, what a report shows of it at each level of privacy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from auditor import jmes
from auditor.model.policy import PolicyFile
from auditor.model.resource import ResourceKind
from auditor.model.verdict import Report, Verdict, Violation
from auditor.reporter import FORMATS, PRIVACIES, render
from auditor.reporter.privacy import private, pseudonym
from tests.reports import report
from tests.support import ROOT, examples
from tests.test_compiler import pack_of, program
from tests.test_evaluator import audit

KEY: Final = b"the key of the tests"
TEXT: Final = {"type": "string"}
NAMED: Final = {"type": "object", "properties": {"id": TEXT, "name": TEXT}}
EVENTS = ResourceKind.model_validate(
    {
        "version": 1,
        "kind": "events",
        "summary": "Events of the tests.",
        "scope": "environment",
        "path": "/environments/{environment_id}/events",
        "page": {"items": "_embedded.events"},
        "identity": ["id"],
        "order_key": "at",
        "empty": "normal",
        "rate": {"group": "none", "requests": 10, "per_s": 1, "share": 1},
        "roles": ["Anybody"],
        "personal": ["who.name", "source.address", "things.name"],
        "item": {
            "type": "object",
            "required": ["id", "at", "who", "action", "things"],
            "properties": {
                "id": TEXT,
                "at": {"type": "string", "format": "date-time"},
                "until": {"type": "string", "format": "date-time"},
                "action": {"type": "object", "properties": {"type": TEXT}},
                "source": {"type": "object", "properties": {"address": TEXT}},
                "note": {"type": "object", "properties": {"text": TEXT}},
                "who": NAMED,
                "things": {"type": "array", "items": NAMED},
                "nowhere": TEXT,
            },
        },
        "sources": [],
    }
)
EVENT: Final[Mapping[str, Any]] = {
    "id": "e1",
    "at": "2026-11-20T09:00:00Z",
    "action": {"type": "MADE"},
    "source": {"address": "192.0.2.7"},
    "note": {"text": "quiet"},
    "who": {"id": "u-1", "name": "Jane Doe"},
    "things": [
        {"id": "t-1", "name": "Jane's phone"},
        {"id": "0c0a9a5e-4a30-4d8c-9d4e-2f5a3c9d8b11", "name": "Den"},
    ],
}
TABLE = YAML(typ="safe").load((ROOT / "tests/spec/privacy.yaml").read_text("utf-8"))


def judged(event: Mapping[str, Any] = EVENT, kind: ResourceKind = EVENTS, **check: Any) -> Verdict:
    """Judge one event by one check."""
    asked = check.pop("query", {"resource": "events"})
    queries: dict[str, Any] = {"queries": {"log": asked}} if "bind" in check else {"query": asked}
    file = {
        "version": 1,
        "pack": {"id": "pack"},
        "checks": {"check": {"title": "A check", **queries, **check}},
    }
    kinds = {"events": kind}
    compiled = program(packs=(pack_of(PolicyFile.model_validate(file)),), kinds=kinds)
    (verdict,) = audit(compiled, [[dict(event)]], kinds=kinds)
    return verdict


def told(verdict: Verdict, privacy: Any) -> Violation:
    (outcome,) = private(report(verdict), privacy, KEY).verdicts[0].outcomes
    return outcome.violations[0]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row["expect"]))
def test_a_violation_is_told_without_what_is_personal(row):
    verdict = judged(expect=row["expect"], **({"bind": row["bind"]} if "bind" in row else {}))
    assert told(verdict, "full").message == row.get("full", told(verdict, "full").message)
    found = told(verdict, "ids")
    assert found.message == row["message"]
    assert found.identity == row.get("identity", found.identity)
    assert (verdict.outcomes[0].violations[0].redacted is None) == row.get("nothing_personal", False)


def canary_event(name: str) -> dict[str, Any]:
    return {
        **EVENT,
        "source": {"address": name},
        "who": {"id": "u-1", "name": name},
        "things": [{"id": "t-1", "name": name}],
    }


CANARY: Final = "Canary Zwicky"
PATHS = st.sampled_from(
    ["@", "id", "who", "who.name", "source", "things", "things[0].name", "things[].name", "note.text", "at"]
)
MADE = st.recursive(
    PATHS,
    lambda inner: st.one_of(
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{a: {}, b: {}}}".format, inner, inner),
        st.builds("({} || {})".format, inner, inner),
        st.builds("({} && {})".format, inner, inner),
        st.builds("not_null({}, {})".format, inner, inner),
        st.builds("to_string({})".format, inner),
        st.builds("upper(to_string({}))".format, inner),
        st.builds("to_array({})".format, inner),
        st.builds("to_array({})[0]".format, inner),
        st.builds("to_array({})[]".format, inner),
        st.builds("{{x: {}}}.*[]".format, inner),
        st.builds("{{x: {}, y: {}}}.x".format, inner, inner),
        st.builds("sort_by(to_array({}), &to_string({}))".format, inner, inner),
        st.builds("map(&{}, to_array(@))".format, inner),
        st.builds("count_by(to_array(@), &to_string({}))".format, inner),
        st.builds("group_by(to_array(@), &to_string({}))".format, inner),
        st.builds("keys(group_by(to_array(@), &to_string({})))".format, inner),
    ),
    max_leaves=4,
)


EXPECTATIONS = st.one_of(
    st.builds(lambda made: {"none": f"[].{{z: {made}}}[].z", "message": "{@}{to_string(@)}"}, MADE),
    st.builds(lambda made: {"none": made, "message": "{@}"}, MADE),
    st.builds(lambda made: {"none": "@", "message": f"{{{made}}}"}, MADE),
    st.builds(lambda made: {"that": "length(@) == `7`", "message": f"{{[].{{z: {made}}}}}"}, MADE),
)


@settings(deadline=None, max_examples=examples(150), suppress_health_check=[HealthCheck.filter_too_much])
@given(expectation=EXPECTATIONS)
def test_no_expression_brings_a_name_through(expectation):
    """Whatever it yields, and whatever the message makes of it."""
    try:
        verdict = judged(canary_event(CANARY), expect=expectation)
    except AssertionError:
        reject()  # the compiler refuses it
    for privacy in ("ids", "pseudonym"):
        assert "ZWICKY" not in repr(private(report(verdict), privacy, KEY)).upper()


@settings(deadline=None, max_examples=examples(100), suppress_health_check=[HealthCheck.filter_too_much])
@given(MADE, st.sampled_from(["@", "[].who", "[].{who: who, id: id}", "[].things[]"]))
def test_a_message_is_told_as_if_it_were_about_what_is_told(made, yielded):
    message = f"{{{made}}}, {{length(to_string({made}))}}"
    try:
        verdict = judged(canary_event(CANARY), expect={"none": yielded, "message": message})
    except AssertionError:
        reject()  # the compiler refuses it
    (violation, *_) = verdict.outcomes[0].violations
    assert violation.redacted is not None
    expected = jmes.Template.parse(message, {}).render(violation.redacted.item)
    assert "".join(piece for _, piece in violation.redacted.message) == expected


def test_a_reason_names_no_person():
    kind = EVENTS.model_copy(update={"identity": ("who.name",)})
    expect = {"every": "seconds_between(at, until) > `0`"}
    verdict = judged({**EVENT, "until": "never"}, kind=kind, expect=expect)
    assert "(record u-1)" in verdict.reason


def test_a_record_that_can_not_be_selected_names_no_person():
    personal = EVENTS.model_copy(update={"personal": ("until",)})
    query = {"resource": "events", "where": 'until gt "2026-01-01T00:00:00Z"'}
    for kind, shown in (
        (EVENTS, "until holds 'never', which is no instant"),
        (personal, "until holds what is no instant"),
    ):
        reason = judged({**EVENT, "until": "never"}, kind=kind, query=query, expect="none").reason
        assert shown in reason


@pytest.fixture(scope="module")
def canaries() -> Report:
    """A report of every row of the table, about somebody else."""
    rows = [{"expect": row["expect"], **({"bind": row["bind"]} if "bind" in row else {})} for row in TABLE]
    verdicts = [judged(canary_event(CANARY), **row) for row in rows]
    return report(*(replace(found, check=f"check-{number}") for number, found in enumerate(verdicts)))


@pytest.mark.parametrize("format_", FORMATS)
def test_a_name_stands_in_no_format_that_does_not_show_names(format_, canaries):
    for privacy in PRIVACIES:
        document = render(canaries, format_, privacy=privacy, key=KEY)
        assert ("ZWICKY" in document.upper()) == (privacy == "full")
    assert render(canaries, format_) == render(canaries, format_, privacy=FORMATS[format_].privacy)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_format_shows_names_by_default_or_identifiers(format_):
    of = report(judged(expect=TABLE[0]["expect"]))
    assert ("Jane Doe" in render(of, format_)) == (FORMATS[format_].privacy == "full")
    assert ("u-1" in render(of, format_)) or FORMATS[format_].privacy == "full"


def test_continuous_integration_is_shown_identifiers():
    shown = {name for name, format_ in FORMATS.items() if format_.privacy == "ids"}
    assert shown == {"junit"} | {"github", "sarif", "markdown", "ctrf", "oscal"} & set(FORMATS)


def test_a_pseudonym_is_the_same_wherever_the_key_is():
    messages = {
        key: private(report(judged(expect=TABLE[0]["expect"])), "pseudonym", key)
        .verdicts[0].outcomes[0].violations[0].message
        for key in (KEY, b"another")
    }  # fmt: skip
    assert messages[KEY] == f"{pseudonym('Jane Doe', KEY)} did MADE from {pseudonym('192.0.2.7', KEY)}"
    assert messages[KEY] != messages[b"another"]


def test_a_report_says_at_which_level_it_is_told():
    of = report(judged(expect=TABLE[0]["expect"]))
    for privacy in PRIVACIES:
        assert json.loads(render(of, "json", privacy=privacy, key=KEY))["privacy"] == privacy
        assert f'<property name="privacy" value="{privacy}" />' in render(
            of, "junit", privacy=privacy, key=KEY
        )


def test_a_fingerprint_that_is_made_from_a_name_is_keyed_with_the_pseudonyms():
    of_name, of_record = ({"none": made, "message": "x"} for made in ("[].who.name", "@"))
    plain, keyed = (told(judged(expect=of_name), privacy).fingerprint for privacy in ("full", "pseudonym"))
    assert keyed == pseudonym(plain, KEY)
    assert (
        told(judged(expect=of_record), "pseudonym").fingerprint
        == told(judged(expect=of_record), "full").fingerprint
    )


def test_a_link_that_an_expression_made_of_a_name_is_left_out():
    made = {"none": "[].{_links: {self: {href: who.name}}}", "message": "x"}
    assert told(judged(expect=made), "full").link == "Jane Doe"
    assert [told(judged(expect=made), privacy).link for privacy in ("ids", "pseudonym")] == [None, None]


def test_pseudonyms_need_a_key():
    with pytest.raises(ValueError, match="key"):
        private(report(), "pseudonym")


def test_a_record_keeps_all_but_its_names():
    found = told(judged(expect=TABLE[0]["expect"]), "ids")
    assert found.item == {
        **EVENT,
        "source": {"address": "(personal)"},
        "who": {"id": "u-1", "name": "u-1"},
        "things": [{"id": each["id"], "name": each["id"]} for each in EVENT["things"]],
    }
    item = told(judged(expect=TABLE[0]["expect"]), "pseudonym").item
    assert item["who"] == {"id": "u-1", "name": pseudonym("Jane Doe", KEY)}


def test_what_is_bound_is_told_at_the_level_of_the_report():
    verdict = judged(
        bind={"names": "log[].who.name", "ids": "log[].who.id"}, expect={"over": "log", "none": "@"}
    )
    shown = {privacy: private(report(verdict), privacy, KEY).verdicts[0].bound for privacy in PRIVACIES}
    assert shown == {
        "full": {"names": ["Jane Doe"], "ids": ["u-1"]},
        "ids": {"names": ["(personal)"], "ids": ["u-1"]},
        "pseudonym": {"names": [pseudonym("Jane Doe", KEY)], "ids": ["u-1"]},
    }


def test_what_is_nested_too_deep_to_follow_is_personal():
    deep: Any = "Jane Doe"
    for _ in range(5_000):
        deep = [deep]
    verdict = judged(
        {**EVENT, "who": {"id": "u-1", "name": deep}}, expect={"none": "@", "message": "{who.id}"}
    )
    found = told(verdict, "ids")
    assert (found.item, found.identity) == ("(personal)", "(personal)")
    assert replace(found, item=None) != found

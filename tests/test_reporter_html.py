"""The page: well-formed, nothing in it acts, everything is bounded, and it says what an auditor asks for."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.cli import run
from auditor.model.instant import Window
from auditor.model.plan import PlannedEnvironment
from auditor.model.policy import SEVERITIES
from auditor.model.provenance import Provenance
from auditor.model.verdict import Series, Status, Threshold
from auditor.reporter import render
from auditor.reporter.html import charts, views
from tests.html_reports import PAGES, PROD, SMALL, counts, everywhere_on_the_page
from tests.reports import HOSTILE, asked, end, failed, outcome, report, verdict, violation
from tests.support import ROOT, examples

GOLDEN = ROOT / "tests/golden/html/small.html"
ELEMENTS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "script",
        "body",
        "header",
        "main",
        "footer",
        "nav",
        "section",
        "article",
    ),
    *(
        "h1",
        "h2",
        "h3",
        "h4",
        "p",
        "a",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "div",
        "span",
        "strong",
        "code",
        "time",
        "br",
    ),
    *(
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
        "figure",
        "figcaption",
        "svg",
        "rect",
        "line",
    ),
    *("article", "br", "form", "fieldset", "legend", "label", "input", "select", "option", "button"),
}
ANY_TEXT = st.text(
    st.characters(exclude_categories=()) | st.sampled_from(HOSTILE + "<>&\"'`=/-!"), max_size=60
)
VOID = {"aria-label"}
"""Attributes that hold text of the run."""


def page(of: Any) -> Any:
    """Return a page as browsers understand it; what is not well-formed HTML 5 raises."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(render(of, "html"))


def tag(element: Any) -> str:
    return str(element.tag).rpartition("}")[2]


def words(element: Any) -> str:
    """Return the text of an element as people read it, with space where the next element begins."""
    return re.sub(r" (?=[,.:;])", "", " ".join(" ".join(element.itertext()).split()))


def the(tree: Any, id: str) -> Any:  # noqa: A002  # its name in HTML
    (found,) = tree.iterfind(f".//*[@id='{id}']")
    return found


@pytest.fixture(scope="module")
def trees():
    """The pages of all samples."""
    return {name: page(sample) for name, sample in PAGES.items()}


def test_a_small_report_reads_as_its_golden_file():
    """`UPDATE_GOLDEN=1` writes it anew, to be looked at in a browser before it is kept."""
    document = render(SMALL, "html")
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(document, encoding="utf-8", newline="")
    assert document == GOLDEN.read_text(encoding="utf-8")


# Nothing on the page acts but its own script


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_nothing_that_loads_or_runs_but_one_script(trees, name):
    found = [element for element in trees[name].iter() if isinstance(element.tag, str)]
    assert {tag(element) for element in found} <= ELEMENTS
    assert Counter(map(tag, found))["script"] == 1
    attributes = {attribute for element in found for attribute in element.attrib}
    assert not [
        each for each in attributes if each.startswith("on") or each in {"style", "src", "srcdoc", "action"}
    ]


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_into_the_page_or_to_the_console_of_pingone(trees, name):
    ids = Counter(element.get("id") for element in trees[name].iter() if element.get("id"))
    assert set(ids.values()) <= {1}
    for link in trees[name].iter("a"):
        if not link.get("href").startswith("#"):
            where = urlsplit(link.get("href"))
            assert (where.scheme, where.netloc) == (
                "https",
                "console.pingone.eu" if name == "small" else "console.pingone.com",
            )
            assert link.get("rel") == "noreferrer noopener"
        else:
            assert link.get("href")[1:] in ids


def test_the_policy_of_the_page_names_its_style_and_its_script_and_nothing_else():
    tree = page(SMALL)
    (policy,) = (
        meta.get("content")
        for meta in tree.iter("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    closed = dict.fromkeys(("default-src", "base-uri", "form-action", "trusted-types"), "'none'")
    assert {**closed, "require-trusted-types-for": "'script'"}.items() <= rules.items()
    assert len(rules) == 7
    for name, element in (("style-src", "style"), ("script-src", "script")):
        (inline,) = tree.iter(element)
        digest = base64.b64encode(hashlib.sha256(inline.text.encode()).digest()).decode()
        assert rules[name] == f"'sha256-{digest}'"
    # It stands before everything that it is about.
    assert [tag(each) for each in tree.find("head")][:2] == ["meta", "meta"]


def skeleton(tree: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the elements of a page with their attributes, without what is text."""
    return [
        (tag(element), sorted((name, value) for name, value in element.attrib.items() if name not in VOID))
        for element in tree.iter()
    ]


PLAIN = skeleton(page(everywhere_on_the_page("xx")))


@settings(deadline=None, max_examples=examples(100))
@given(text=ANY_TEXT)
def test_no_text_changes_an_element_or_an_attribute_of_the_page(text):
    assert skeleton(page(everywhere_on_the_page(f"x{text}x"))) == PLAIN


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        '" onfocus="alert(1)" autofocus="',
        "javascript:alert(1)",
        "{{ 7 * 7 }}{% for x in y %}",
        "</style><svg/onload=alert(1)>",
        "--><!--",
        "&#0;&amp;<![CDATA[",
    ],
)
def test_what_would_act_is_shown_as_it_is(text):
    tree = page(everywhere_on_the_page(text))
    assert skeleton(tree) == PLAIN
    assert text.replace("\u0000", r"\u0000") in words(tree.find("body"))


# It can be used by anybody


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_a_language_a_title_landmarks_and_headings_in_order(trees, name):
    tree = trees[name]
    assert tree.get("lang") == "en"
    assert words(tree.find("head/title"))
    assert len(list(tree.iter("main"))) == len(list(tree.iter("h1"))) == 1
    levels = [int(tag(element)[1]) for element in tree.iter() if re.fullmatch(r"h[1-6]", tag(element))]
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("name", PAGES)
def test_fields_have_labels_columns_have_headings_and_drawings_have_words(trees, name):
    tree = trees[name]
    labelled = {
        field for label in tree.iter("label") for field in label.iter() if tag(field) in {"input", "select"}
    }
    assert labelled == {field for field in tree.iter() if tag(field) in {"input", "select"}}
    for table in tree.iter("table"):
        heads = list(table.find("thead").iter("th"))
        assert all(head.get("scope") == "col" for head in heads)
        assert {len(row) for row in table.find("tbody")} <= {len(heads)}
    for drawing in (element for element in tree.iter() if tag(element) == "svg"):
        assert drawing.get("aria-label") or drawing.get("aria-hidden") == "true"


def _luminance(color: str) -> float:
    """WCAG 2.2, relative luminance."""
    full = color if len(color) == 7 else "#" + "".join(2 * digit for digit in color[1:])
    parts = [int(full[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_has_the_contrast_that_wcag_asks_for_in_every_scheme():
    """WCAG 2.2, 1.4.3 for text and 1.4.11 for drawings: on paper, by day and by night."""
    (style,) = page(SMALL).iter("style")
    schemes = [
        dict(re.findall(r"--([a-z]+): (#[0-9a-f]{3,6})", block))
        for block in re.findall(r":root \{(.*?)\}", style.text, re.DOTALL)
    ]
    assert len(schemes) == 3
    for scheme in schemes:
        for name in ("text", "muted", "link", "pass", "fail", "error", "waived", "skip"):
            assert _contrast(scheme[name], scheme["ground"]) >= 4.5, name
            assert _contrast(scheme[name], scheme["raised"]) >= 4.5, name
        for name in SEVERITIES:
            assert _contrast(scheme[name], scheme["ground"]) >= 3, name


# What it says


def test_the_page_says_where_the_records_come_from():
    said = words(the(page(SMALL), "source"))
    for fact in (
        "environment abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6, region EU, https://api.pingone.eu/v1, asked as client c1e2",
        "GET /environments/abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6/activities: 268 records",
        "2026-11-20 09:00:00 UTC – 2026-11-21 09:00:00 UTC",  # noqa: RUF001
        "auditor 0.1.0",
        "commit 0123456789abcdef0123456789abcdef01234567, with changes that are not in that commit",
        "root digest sha256:5588c791b28bd3df8ff1dbd92fec090f02c638815c0e84040889686829872ee3",
        "GitLab CI: acme/audit / check, run 77, https://gitlab.example.org/acme/audit/-/jobs/77",
    ):
        assert fact in said


@pytest.mark.parametrize(
    ("provenance", "said"),
    [
        (Provenance(), "commit not known"),
        (Provenance(commit="a" * 40, dirty=False), f"commit {'a' * 40}, as committed"),
        (Provenance(commit="a" * 40), f"commit {'a' * 40}"),
    ],
)
def test_of_a_commit_only_what_is_known_is_told(provenance, said):
    told = words(the(page(report(verdict(), provenance=provenance)), "source"))
    assert re.search(rf"{said} ?(CI job.*)?$", told), told


def test_each_request_tells_its_filter_and_what_of_its_window_was_read():
    tree = page(SMALL)
    whole, half = the(tree, "query-1"), the(tree, "query-2")
    assert 'recordedat ge "2026-11-20T09:00:00.000Z"' in words(whole)
    assert "The whole window was read (counted)." in words(whole)
    assert "Not covered: 2026-11-20 21:00:00 UTC" in words(half)
    drawn = [
        [(rect.get("class"), rect.get("x"), rect.get("width")) for rect in each.iter() if tag(rect) == "rect"]
        for each in (whole, half)
    ]
    assert drawn == [[("read", "0.0", "1000.0")], [("read", "0.0", "500.0"), ("uncovered", "500.0", "500.0")]]


def test_a_request_that_was_never_begun_was_not_read():
    tree = page(report(verdict(Status.ERROR), asked=(asked(None),)))
    assert "Never begun: nothing of it was read." in words(the(tree, "query-1"))
    assert not [rect for rect in the(tree, "query-1").iter() if tag(rect) == "rect"]


def test_the_gravest_results_stand_in_front_and_lead_to_their_details():
    tree = page(SMALL)
    looks = [row.get("data-look") for row in the(tree, "list")]
    assert looks == ["error", "error", "fail", "fail", "pass"]
    assert "Applications are deleted" in words(the(tree, "check-1"))
    mixed = page(report(*(failed(check=each, severity=each) for each in SEVERITIES)))
    assert [row.get("data-severity") for row in the(mixed, "list")] == list(reversed(SEVERITIES))


def test_a_check_tells_its_filter_its_requests_its_violations_and_where_to_see_them():
    (row,) = (
        row
        for row in the(page(SMALL), "list")
        if "3 exceptions" in words(row.find("summary")) and row.get("data-look") == "fail"
    )
    said = words(row)
    for fact in (
        'where action.type eq "APPLICATION.DELETED"',
        "Legacy importer deleted Shop 1",
        'actors.client.name "<script>alert(1)</script>"',
        "Answer q1#2",
        "One record: GET https://api.pingone.eu/v1/environments/abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6/activities/RECORD",
        "An application that is disabled instead.",
        "iso27001: A.8.32; soc2: CC6.1, CC8.1",
        "policies/pingone-activity/applications.yaml:14:3",
    ):
        assert fact in said
    links = {link.get("href") for link in row.iter("a")}
    assert links == {"#query-1", "https://console.pingone.eu/?env=abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6"}


def test_controls_stand_with_what_was_examined_and_those_without_a_check_say_so():
    said = words(the(page(SMALL), "overview"))
    assert "CC6.1 Logical access fail 14 3 14 of 365" in said
    assert "CC9.9 What no check speaks to no check 0 0" in said
    assert "Checks speak to 1 of 2 criteria; no check speaks to CC9.9." in said
    assert "iso27001 1 control" in said
    nothing = page(report(verdict(population=0, outcomes=(outcome(population=0),))))
    assert "A.8.32 pass no occurrences 0 0" in words(the(nothing, "overview"))


@pytest.mark.parametrize("environments", [1, 2])
def test_several_environments_stand_side_by_side(environments):
    names = ["prod", "staging"][:environments]
    tree = page(report(*(verdict(environment=name) for name in names), failed(check="only-here")))
    tables = [table for table in tree.iter("table") if table.get("class") == "matrix"]
    assert len(tables) == environments - 1
    if tables:
        rows = [words(row) for row in tables[0].find("tbody")]
        assert rows == [
            "pingone-activity/only-here fail 1/12 –",  # noqa: RUF001
            "pingone-activity/app-deletion-by-admin-clients pass 0/12 pass 0/12",
        ]


@pytest.mark.parametrize(
    ("name", "look", "headline"),
    [
        ("all-pass", "pass", "Passed: no check found an exception that is not waived"),
        ("no-occurrences", "pass", "Passed: no check found an exception that is not waived"),
        ("failures", "fail", "Failed: 2 of 3 checks"),
        ("errors", "error", "Not decided: 2 checks could not be decided"),
        ("undecided", "error", "Not decided: 1 check could not be decided"),
        ("configuration-problems", "error", "Not done: 8 mistakes must be mended first"),
        ("problems-beside-verdicts", "error", "Not done: 2 mistakes must be mended first"),
        ("nothing-selected", "error", "Nothing was examined: no check was selected"),
        ("only-skips", "skip", "Nothing was examined: every check was skipped"),
    ],
)
def test_the_headline_is_the_result_in_one_sentence(trees, name, look, headline):
    (found,) = trees[name].iter("h1")
    assert (found.get("class"), words(found)) == (look, headline)


def test_a_pass_without_an_occurrence_says_so(trees):
    assert "no occurrences" in words(the(trees["no-occurrences"], "check-1"))


def test_a_waived_failure_is_neither_a_pass_nor_hidden(trees):
    tree = trees["waivers"]
    waived = [words(row) for row in the(tree, "list") if row.get("data-look") == "waived"]
    assert waived
    assert all("Waived until 2026-12-31 by" in each for each in waived)
    assert len(list(the(tree, "waivers").iter("tr"))) == len(PAGES["waivers"].waivers) + 1


def test_the_value_of_a_sensitive_parameter_is_not_told():
    assert "contract (sensitive) --var" in words(the(page(SMALL), "parameters"))


@pytest.mark.parametrize(
    ("api_url", "id_", "link"),
    [
        ("https://api.pingone.com/v1", PROD.id, f"https://console.pingone.com/?env={PROD.id}"),
        ("https://api.pingone.com.au/v1", PROD.id, f"https://console.pingone.com.au/?env={PROD.id}"),
        ("https://api.pingone.com.evil.example/v1", PROD.id, None),
        ("https://evil.example/api.pingone.com", PROD.id, None),
        ("http://127.0.0.1:8000/v1", PROD.id, None),
        ("https://api.pingone.com/v1", "x&y=<z>", None),
        (None, None, None),
    ],
)
def test_only_an_environment_of_pingone_has_a_link_to_its_console(api_url, id_, link):
    environment = PlannedEnvironment(name="prod", id=id_, region=None, api_url=api_url)
    tree = page(report(failed(), environments=(environment,)))
    found = {each.get("href") for each in tree.iter("a") if not each.get("href").startswith("#")}
    assert found == ({link} if link else set())
    simulated = page(report(failed(), environments=(environment,), simulated=True))
    assert not [each for each in simulated.iter("a") if not each.get("href").startswith("#")]


def test_a_run_on_the_simulator_makes_a_page_on_which_what_it_planted_is_text(monkeypatch, tmp_path):
    monkeypatch.setenv("AUDITOR_DATA_DIR", str(tmp_path))
    quickstart = str(ROOT / "examples/quickstart")
    code = run(["check", "--chdir", quickstart, "--simulate", "--as-of", "2026-11-21T09:00:00Z",
                "--check", "app-deletion-by-admin-clients", "--check", "active-identities-under-license-cap",
                "--report", f"html={tmp_path / 'report.html'}"])  # fmt: skip
    assert code == 2
    document = (tmp_path / "report.html").read_text(encoding="utf-8")
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(document)
    said = words(tree.find("body"))
    assert 'common-services-test deleted <script>alert("x")</script>' in said
    assert "Simulated: the records come from the built-in simulator, not from PingOne." in said
    assert "every: value <= 440 (high)" in said
    assert "asked as client simulator-client" in said
    broken = [rect for rect in tree.iter() if tag(rect) == "rect" and rect.get("class") == "broken"]
    assert len(broken) == 1


# Its size is bounded, and it says so


def test_of_very_many_checks_the_gravest_have_their_details_and_all_a_line(monkeypatch):
    monkeypatch.setattr(views, "DETAILED", 10)
    checks = (
        failed(25, check=f"c{each}") if each % 3 == 0 else verdict(check=f"c{each}") for each in range(15)
    )
    tree = page(report(*checks))
    rows = list(the(tree, "list"))
    assert Counter(map(tag, rows)) == {"details": 10, "p": 5}
    assert {row.get("data-look") for row in rows if tag(row) == "p"} == {"pass"}
    said = words(the(tree, "checks"))
    assert "There are 15 checks. The first 10, the gravest results in front, have their details here" in said


def test_two_thousand_checks_and_ten_thousand_violations_make_a_page_of_some_megabytes():
    many = report(*(verdict(check=f"c{each}") for each in range(2_000)), failed(10_000))
    assert len(render(many, "html")) < 4_000_000


def test_controls_and_records_name_so_many_checks_and_fields_and_say_how_many_more():
    many = {f"field{number:02}": number for number in range(15)}
    shown = failed()
    (one,) = shown.outcomes
    wide = replace(shown, outcomes=(replace(one, violations=(violation(values=many),)),))
    tree = page(report(wide, *(verdict(check=f"c{number}") for number in range(24))))
    assert "field11 11 and 3 more" in words(the(tree, "check-1"))
    assert "c18 and 5 more" in words(the(tree, "overview"))


def test_lists_and_texts_that_are_cut_say_so():
    uses = tuple(replace(SMALL.variables[0], name=f"v{number}") for number in range(501))
    queries = tuple(asked(end(query=f"q{number}"), id=f"q{number}") for number in range(501))
    grave = failed(10_000, description="d" * 9_000)
    document = render(report(grave, variables=uses, asked=queries), "html")
    assert "20 of 10,000 exceptions are listed." in document
    assert f">{'d' * 2_000} … (shortened, 9,000 characters)<" in document
    assert document.count("The first 500 of 501 are listed.") == 2


# Drawings


def test_bars_of_a_count_stand_under_its_thresholds():
    drawn = charts.graph(counts().examined[0].series[0], counts().outcomes)
    assert [bar.look for bar in drawn.bars] == ["kept", "kept", "kept", "broken", "kept"]
    assert [line.text for line in drawn.lines] == ["every: value <= 440", "every: value <= 400.5"]
    assert drawn.top == 440
    assert drawn.lines[0].y == 0


MOMENTS = st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis adds the zone


@settings(deadline=None, max_examples=examples(100))
@given(
    points=st.dictionaries(MOMENTS, st.integers(-5, 10**18) | st.floats(-1e9, 1e9), min_size=1, max_size=20),
    limits=st.lists(st.floats(-1e12, 1e12), max_size=3),
)
def test_everything_that_is_drawn_of_a_count_stands_in_its_box(points, limits):
    series = Series(path="value", points=tuple(sorted(points.items())))
    thresholds = tuple(Threshold(path="value", operator="<", value=limit) for limit in limits)
    drawn = charts.graph(series, [outcome(thresholds=thresholds)])
    assert len(drawn.bars) == len(points)
    _assert_in_box(drawn.bars)
    assert all(-0.1 <= line.y <= charts.HEIGHT + 0.1 for line in drawn.lines)


@settings(deadline=None, max_examples=examples(100))
@given(
    found=st.lists(st.tuples(st.sampled_from(SEVERITIES), MOMENTS), min_size=1, max_size=30),
    days=st.integers(0, 800),
)
def test_a_timeline_counts_every_violation_once_and_is_never_too_fine(found, days):
    first = min(at for _, at in found)
    observed = [Window(first, first + timedelta(days=days))] if days else []
    drawn = charts.timeline([(severity, violation(at=at)) for severity, at in found], observed)
    assert drawn is not None
    assert sum(each.total for each in drawn.bins) == len(found) == drawn.shown
    assert len(drawn.bins) <= 62
    _assert_in_box(drawn.bars)


def test_without_an_instant_there_is_no_timeline():
    assert charts.timeline([("high", violation(at=None))], []) is None


@pytest.mark.parametrize(
    ("hours", "unit"),
    [(5, "hour"), (90, "3 hours"), (14 * 24, "6 hours"), (59 * 24, "day"), (300 * 24, "7 days")],
)
def test_a_bar_of_the_timeline_is_as_long_as_people_count(hours, unit):
    start = datetime(2026, 11, 1, tzinfo=UTC)
    drawn = charts.timeline([("low", violation(at=start))], [Window(start, start + timedelta(hours=hours))])
    assert drawn is not None
    assert drawn.unit == unit


def _assert_in_box(bars: Iterable[charts.Bar]) -> None:
    for bar in bars:
        assert -0.1 <= bar.x <= bar.x + bar.width <= charts.WIDTH + 0.1
        assert -0.1 <= bar.y <= bar.y + bar.height <= charts.HEIGHT + 0.1

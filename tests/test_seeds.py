"""
The sample responses of PingOne's documentation, through the whole pipeline.

Each is cut out of its document and served as it stands, at the address that its own links name; what the
documentation leaves out, such as the pages that a link leads to, is made here in the same shape.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from auditor import app, fetcher
from auditor.evaluator import Audit
from auditor.model.evidence import Page, QueryEnd
from auditor.model.instant import parse_instant
from auditor.model.resource import field
from auditor.model.verdict import Status, Verdict
from tests.pages import API, KINDS, Clock, Tenant, in_virtual_time, ok, settings_for
from tests.support import SHARED, needs_shared

pytestmark = needs_shared

ENVIRONMENT = "abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6"
ASKED_FOR_ACTIVITIES = "58f92121-b753-4e7e-8d82-23b5bf80efe5"  # other than that of the events


def document(title: str) -> str:
    """Return the document of the seeds that is about something."""
    texts = [path.read_text("utf-8") for path in sorted((SHARED / "seeds").glob("*.txt"))]
    (found,) = [text for text in texts if re.search(rf"^(title: )?{re.escape(title)}$", text, re.MULTILINE)]
    return found


def sample(title: str) -> dict[str, Any]:
    """Return the sample response of a document: its last JSON object."""
    text = document(title)
    start = re.search(r'^\{\s*"_links"', text, re.MULTILINE)
    assert start is not None
    found, _ = json.JSONDecoder().raw_decode(text, start.start())
    assert isinstance(found, dict)
    return found


def items(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    (found,) = page["_embedded"].values()
    assert isinstance(found, list)
    return found


class Served(Tenant):
    """A PingOne that answers every address with its page; the first by its path alone."""

    def __init__(self, pages: Mapping[str, dict[str, Any]], now: datetime) -> None:
        def by_address(request: httpx.Request) -> httpx.Response:
            address = f"https://{request.url.host}{request.url.raw_path.decode()}"
            return ok(pages.get(address) or pages[address.partition("?")[0]])

        super().__init__(by_address, clock=Clock(now))


def judged(
    folder: Path, tenant: Tenant, query: str, expect: str, environment: str = ENVIRONMENT
) -> tuple[Verdict, QueryEnd]:
    """Hold one policy against a tenant, at the tenant's time."""
    (folder / "policy.yaml").write_text(
        "version: 1\n"
        "pack: {id: seeds}\n"
        "variables: {admin_clients: {type: list(string), default: [adminui, common-services-test]}}\n"
        f"checks:\n  a-check:\n    title: A check\n    query: {query}\n    expect: {expect}\n",
        "utf-8",
    )
    (folder / "auditor.yaml").write_text(
        "version: 1\npolicies: [policy.yaml]\n"
        f"environments:\n  prod:\n    id: {environment}\n    region: NA\n",
        "utf-8",
    )
    credentials = {
        "PINGONE_ENVIRONMENT_ID": environment,
        "PINGONE_CLIENT_ID": "client",
        "PINGONE_CLIENT_SECRET": "secret",
    }
    checked = app.plan(app.Job(folder=folder, environ=credentials), tenant.clock())
    planned = checked.value
    assert planned is not None, checked.diagnostics
    audit = Audit(planned.program, planned.plan, planned.project.catalogue)
    ends: list[QueryEnd] = []

    async def read() -> None:
        environments = {each.name: each for each in planned.project.environments}
        async for event in fetcher.fetch(
            planned.plan, planned.project.catalogue, environments, settings_for(tenant)
        ):
            if isinstance(event, Page):
                audit.add(event)
            else:
                ends.append(event)

    in_virtual_time(read())
    (verdict,) = audit.finish(ends)
    (end,) = ends
    return verdict, end


# --- User Activities ------------------------------------------------------------------------------------


def test_every_property_of_the_data_model_can_be_named_in_a_policy():
    names = re.findall(r"^\| `([\w.]+)` +\| (\w+)", document("User Activities"), re.MULTILINE)
    assert len(names) == 6
    types = {"Date": ("string", "date-time"), "String": ("string", None), "Integer": ("integer", None)}
    for name, type_name in names:
        found = field(KINDS["user_activities"].item, name)
        assert found is not None, name
        assert (found[0]["type"], found[0].get("format")) == types[type_name]


# --- Read User Activities -------------------------------------------------------------------------------

SIGN_ONS = f"{API}/environments/{ENVIRONMENT}/userActivities"
IN_2022 = datetime(2022, 6, 1, tzinfo=UTC)


def sign_ons(**changes: Any) -> Served:
    found = sample("Read User Activities")
    items(found)[2]["userSignOns"].update(changes)
    return Served({SIGN_ONS: found}, IN_2022)


WEEK = "{resource: user_activities, sampling: DAY, window: {from: 2022-05-18, to: 2022-05-24}}"


def test_days_of_another_offset_are_counted_and_what_they_leave_out_is_said(tmp_path: Path):
    verdict, end = judged(tmp_path, sign_ons(), WEEK, "{every: userSignOns.failures <= `0`}")
    assert (verdict.status, verdict.population) == (Status.PASS, 5)
    assert (end.assurance, end.records) == ("whole buckets", 5)
    assert end.first == datetime(2022, 5, 18, 4, tzinfo=UTC)
    assert [caveat for caveat in verdict.caveats if "leave out" in caveat] == [
        "The endpoint's periods leave out 2022-05-18T00:00:00.000Z .. 2022-05-18T04:00:00.000Z.",
        "The endpoint's periods leave out 2022-05-23T04:00:00.000Z .. 2022-05-24T00:00:00.000Z.",
    ]


def test_the_sum_of_sign_ons_is_that_of_the_sample(tmp_path: Path):
    verdict, _ = judged(tmp_path, sign_ons(), WEEK, '{that: "sum([].userSignOns.successes) == `31`"}')
    assert verdict.status is Status.PASS


def test_another_number_of_sign_ons_is_another_verdict(tmp_path: Path):
    verdict, _ = judged(
        tmp_path, sign_ons(failures=1), WEEK, '{every: "userSignOns.failures <= `0`", message: "{startDate}"}'
    )
    assert (verdict.status, verdict.exceptions) == (Status.FAIL, 1)
    assert verdict.outcomes[0].violations[0].message == "2022-05-20T00:00:00-04:00"
    verdict, _ = judged(
        tmp_path, sign_ons(successes=21), WEEK, '{that: "sum([].userSignOns.successes) == `31`"}'
    )
    assert verdict.status is Status.FAIL


def test_the_range_of_the_sample_itself_loses_the_days_at_its_ends(tmp_path: Path):
    """Of the days asked for, those of the answer that lie wholly in whole days of ours are counted."""
    own = (
        "{resource: user_activities, sampling: DAY, "
        'window: {from: "2022-05-17T09:10:12-04:00", to: "2022-05-23T09:10:12-04:00"}}'
    )
    verdict, end = judged(tmp_path, sign_ons(), own, '{that: "sum([].userSignOns.successes) == `31`"}')
    assert (verdict.status, verdict.population) == (Status.PASS, 4)
    assert len([warning for warning in end.warnings if "leave out" in warning]) == 2


def test_a_day_that_the_sample_does_not_hold_is_missing(tmp_path: Path):
    longer = "{resource: user_activities, sampling: DAY, window: {from: 2022-05-17, to: 2022-05-24}}"
    verdict, _ = judged(tmp_path, sign_ons(), longer, "{every: userSignOns.failures <= `0`}")
    assert (verdict.status, verdict.code) == (Status.ERROR, "evidence.incomplete")


def test_the_sample_is_not_what_was_asked_for_by_the_hour(tmp_path: Path):
    hours = "{resource: user_activities, sampling: HOUR, window: {from: 2022-05-18, to: 2022-05-23}}"
    verdict, _ = judged(tmp_path, sign_ons(), hours, "{every: userSignOns.failures <= `0`}")
    assert (verdict.status, verdict.code) == (Status.ERROR, "evidence.drift")


# --- Read Active Identity Counts ------------------------------------------------------------------------

COUNTS = f"{API}/environments/{ENVIRONMENT}/activeIdentityCounts"
ASKED_AT = parse_instant("2025-11-03T16:24:24.702863386Z")  # from the sample's cursor


def cursor(**state: Any) -> str:
    return b64encode(json.dumps(state, indent=2).encode()).decode().replace("=", "%3D")


def counts(changes: Mapping[int, int] | None = None, count: int = 551) -> Served:
    """Return the sample with the 54 pages that it leads to, all values 0 but those to change."""
    first = sample("Read Active Identity Counts")
    start = parse_instant(items(first)[0]["startDate"])
    periods = items(first)
    for number in range(len(periods), 551):
        begins = start + timedelta(days=number)
        ends = min(begins + timedelta(days=1, seconds=-1), ASKED_AT)
        period = deepcopy(periods[0])
        period |= {"startDate": f"{begins:%Y-%m-%dT%H:%M:%SZ}", "endDate": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}
        periods.append(period)
    for number, value in (changes or {}).items():
        periods[number]["value"] = value
    pages: dict[str, dict[str, Any]] = {}
    address = COUNTS
    for begin in range(0, 551, 10):
        page: dict[str, Any] = {
            "_links": {"self": first["_links"]["self"]},
            "_embedded": {"activeIdentityCounts": periods[begin : begin + 10]},
            "count": count,
            "size": len(periods[begin : begin + 10]),
        }
        pages[address] = page
        if begin == 0:
            page["_links"]["next"] = first["_links"]["next"]
        elif begin + 10 < 551:
            page["_links"]["next"] = {
                "href": f"{COUNTS}?cursor={cursor(startPeriod=begin, samplingPeriod=24)}"
            }
        address = page["_links"].get("next", {}).get("href", "")
    return Served(pages, ASKED_AT)


SINCE_MAY = (
    "{resource: active_identity_counts, sampling: 24, "
    'window: {from: "2024-05-01T19:00:00Z", to: "2025-11-03T16:00:00Z"}}'
)


def test_all_551_periods_are_read_by_their_links_and_the_whole_ones_judged(tmp_path: Path):
    tenant = counts()
    verdict, end = judged(tmp_path, tenant, SINCE_MAY, "{every: value <= `9`}")
    assert (verdict.status, verdict.population) == (Status.PASS, 550)
    assert (end.assurance, end.count, end.records, end.pages) == ("counted", 551, 551, 56)
    first = tenant.asked[0].url.params
    assert first["filter"] == 'startDate ge "2024-05-01T19:00:00.000Z" and samplingPeriod eq "24"'
    assert tenant.urls[1] == sample("Read Active Identity Counts")["_links"]["next"]["href"]


@pytest.mark.parametrize("number", [0, 9, 10, 549])
def test_another_count_on_whichever_page_is_another_verdict(tmp_path: Path, number: int):
    verdict, _ = judged(tmp_path, counts({number: 10}), SINCE_MAY, "{every: value <= `9`}")
    assert (verdict.status, verdict.exceptions) == (Status.FAIL, 1)


def test_the_period_that_was_still_running_decides_nothing(tmp_path: Path):
    verdict, _ = judged(tmp_path, counts({550: 10}), SINCE_MAY, "{every: value <= `9`}")
    assert verdict.status is Status.PASS


def test_the_period_that_was_still_running_decides_where_it_is_asked_for(tmp_path: Path):
    running = "{resource: active_identity_counts, sampling: 24, window: {from: WHEN, to: THEN}, include_partial: true}"
    running = running.replace("WHEN", '"2024-05-01T19:00:00Z"').replace("THEN", f'"{ASKED_AT.isoformat()}"')
    verdict, _ = judged(tmp_path, counts({550: 10}), running, "{every: value <= `9`}")
    assert (verdict.status, verdict.population) == (Status.FAIL, 551)


def test_one_period_more_than_there_are_is_an_error(tmp_path: Path):
    verdict, _ = judged(tmp_path, counts(count=552), SINCE_MAY, "{every: value <= `9`}")
    assert (verdict.status, verdict.code) == (Status.ERROR, "evidence.wrong-count")


def test_the_sample_alone_is_not_all(tmp_path: Path):
    """Its `next` leads on; where that is ignored, 541 periods are missing."""
    alone = sample("Read Active Identity Counts")
    del alone["_links"]["next"]
    verdict, _ = judged(tmp_path, Served({COUNTS: alone}, ASKED_AT), SINCE_MAY, "{every: value <= `9`}")
    assert (verdict.status, verdict.code) == (Status.ERROR, "evidence.wrong-count")


# --- Read Active Identity Counts by Date Range ----------------------------------------------------------

METRICS = f"{API}/environments/{ENVIRONMENT}/metrics/activeIdentityCounts"
IN_MAY = datetime(2020, 5, 17, 12, tzinfo=UTC)


def by_date(changes: Mapping[str, int] | None = None, *, later: range = range(11, 18)) -> Served:
    """Return the sample and the page that its link back leads to: the seven later days, newest first."""
    first = sample("Read Active Identity Counts by Date Range")
    back = first["_links"]["previous"]["href"]
    days = []
    for day in reversed(later):
        end = "2020-05-17T12:00:00Z" if day == 17 else f"2020-05-{day}T23:59:59.999Z"
        days.append({**items(first)[0], "startDate": f"2020-05-{day}T00:00:00Z", "endDate": end})
    second = {
        "_links": {"self": {"href": back}, "next": {"href": first["_links"]["self"]["href"]}},
        "_embedded": {"activeIdentityCounts": days},
        "count": 17,
        "size": len(days),
    }
    for record in (*items(first), *days):
        record["value"] = (changes or {}).get(record["startDate"][:10], record["value"])
    return Served({METRICS: first, back: second}, IN_MAY)


MAY = "{resource: metrics_active_identity_counts, sampling: DAY, window: {from: 2020-05-01, to: 2020-05-17}}"


def test_the_later_days_behind_previous_are_read_too(tmp_path: Path):
    tenant = by_date()
    verdict, end = judged(tmp_path, tenant, MAY, "{every: value <= `9`}")
    assert (verdict.status, verdict.population) == (Status.PASS, 16)
    assert (end.assurance, end.count, end.records, end.pages) == ("counted", 17, 17, 2)
    assert tenant.urls[1].endswith("Cn0%3D")  # the padding of the sample's cursor, as it stands there


@pytest.mark.parametrize("day", ["2020-05-01", "2020-05-10", "2020-05-11", "2020-05-16"])
def test_another_value_on_either_page_is_another_verdict(tmp_path: Path, day: str):
    verdict, _ = judged(tmp_path, by_date({day: 10}), MAY, "{every: value <= `9`}")
    assert (verdict.status, verdict.exceptions) == (Status.FAIL, 1)
    assert verdict.outcomes[0].violations[0].item["startDate"] == f"{day}T00:00:00Z"


def test_a_day_that_is_missing_behind_previous_is_an_error(tmp_path: Path):
    verdict, _ = judged(tmp_path, by_date(later=range(12, 18)), MAY, "{every: value <= `9`}")
    assert (verdict.status, verdict.code) == (Status.ERROR, "evidence.wrong-count")


def test_the_sample_answers_days_where_its_request_asks_for_months(tmp_path: Path):
    """Request and response of the document do not belong together; a program must not take one for the other."""
    months = "{resource: metrics_active_identity_counts, sampling: MONTH, window: 1mo, include_partial: true}"
    verdict, _ = judged(tmp_path, by_date(), months, "{every: value <= `9`}")
    assert (verdict.status, verdict.code) == (Status.ERROR, "evidence.drift")


# --- Read Audit Activities ------------------------------------------------------------------------------

ACTIVITIES = f"{API}/environments/{ASKED_FOR_ACTIVITIES}/activities"
IN_AUGUST = datetime(2018, 8, 23, tzinfo=UTC)
RANGE = 'window: {from: "2018-08-20T00:00:00Z", to: "2018-08-22T23:59:00Z"}'
DELETIONS = f"{{resource: activities, {RANGE}, where: 'action.type eq \"APPLICATION.DELETED\"'}}"
BY_ADMIN_CLIENTS = (
    "{every: 'contains(${var.admin_clients}, actors.client.id)', on_missing: fail, "
    'message: "{actors.client.name} deleted {resources[0].name}"}'
)


def activities(now: datetime = IN_AUGUST, **client: str) -> Served:
    found = sample("Read Audit Activities")
    items(found)[0]["actors"]["client"].update(client)
    return Served({ACTIVITIES: found}, now)


def test_the_application_was_deleted_by_an_admin_client(tmp_path: Path):
    """The client's identifier is no UUID, and the events are of another environment than that of the request."""
    tenant = activities()
    verdict, end = judged(tmp_path, tenant, DELETIONS, BY_ADMIN_CLIENTS, ASKED_FOR_ACTIVITIES)
    assert (verdict.status, verdict.population) == (Status.PASS, 1)
    assert (end.assurance, end.records, end.count) == ("end of links", 3, None)
    assert end.last == parse_instant("2018-08-22T21:47:12.859Z")
    assert tenant.asked[0].url.params["filter"] == (
        'recordedAt ge "2018-08-20T00:00:00.000Z" and recordedAt lt "2018-08-22T23:59:00.000Z"'
        ' and action.type eq "APPLICATION.DELETED"'
    )


def test_another_client_is_another_verdict(tmp_path: Path):
    tenant = activities(id="somebody-else", name="Somebody else")
    verdict, _ = judged(tmp_path, tenant, DELETIONS, BY_ADMIN_CLIENTS, ASKED_FOR_ACTIVITIES)
    assert (verdict.status, verdict.exceptions) == (Status.FAIL, 1)
    (violation,) = verdict.outcomes[0].violations
    assert violation.message == "Somebody else deleted UPDATED_1534974432"
    assert violation.identity == "a4a0a8c0-2d47-4efe-a8a5-463684f79f1c"


def test_the_three_events_are_one_after_the_other(tmp_path: Path):
    """The list is in the order of its instants, whatever the order of the page, which is newest first."""
    every = f"{{resource: activities, {RANGE}}}"
    order = "[].action.type == ['APPLICATION.CREATED', 'APPLICATION.UPDATED', 'APPLICATION.DELETED']"
    verdict, _ = judged(tmp_path, activities(), every, f'{{that: "{order}"}}', ASKED_FOR_ACTIVITIES)
    assert (verdict.status, verdict.population) == (Status.PASS, 3)


def test_events_of_2018_are_not_there_any_more(tmp_path: Path):
    tenant = activities(now=datetime(2026, 11, 21, tzinfo=UTC))
    verdict, end = judged(tmp_path, tenant, DELETIONS, BY_ADMIN_CLIENTS, ASKED_FOR_ACTIVITIES)
    assert (verdict.status, verdict.code) == (Status.ERROR, "evidence.not-covered")
    assert end.requests == 0
    assert tenant.asked == []


def test_an_event_that_lies_outside_of_the_range_spoils_the_verdict(tmp_path: Path):
    narrower = DELETIONS.replace("2018-08-22T23:59:00Z", "2018-08-22T21:47:12.5Z")
    verdict, _ = judged(tmp_path, activities(), narrower, BY_ADMIN_CLIENTS, ASKED_FOR_ACTIVITIES)
    assert (verdict.status, verdict.code) == (Status.ERROR, "evidence.outside-window")

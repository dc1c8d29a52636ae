"""The simulated endpoints over HTTP: each documented rule as a sentence."""

from __future__ import annotations

import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from ruamel.yaml import YAML

from auditor.model.resource import ResourceKind
from auditor.simulator import Running, Settings, World, create_app, run, serve
from tests.support import ROOT

SPEC = Path(__file__).parent / "spec" / "simulator"
NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
FROM, TO = "2026-11-08T00:00:00Z", "2026-11-21T10:30:00Z"
RANGE = f'recordedAt ge "{FROM}" and recordedAt lt "{TO}"'


def read_yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text("utf-8"))


CATALOGUE = {
    path.stem: ResourceKind.model_validate(read_yaml(path))
    for path in sorted((ROOT / "schemas" / "resources").glob("*.yaml"))
}
WORLD = World.generate(7, 5_000, NOW)
TLS = ssl.create_default_context()  # to make one takes longer than most tests


@dataclass
class Client:
    """An HTTP client with a token, and the simulator that it talks to."""

    running: Running
    http: httpx.Client
    environment_id: str
    headers: dict[str, str] = field(default_factory=dict)

    def authorize(self) -> None:
        answer = self.http.post(
            f"{self.running.auth_url}/{self.environment_id}/as/token",
            data={"grant_type": "client_credentials"},
            auth=("simulator-client", "simulator-secret"),
        )
        self.headers["authorization"] = f"Bearer {answer.json()['access_token']}"

    def url(self, endpoint: str) -> str:
        return f"{self.running.api_url}/environments/{self.environment_id}/{endpoint}"

    def get(self, endpoint: str, **parameters: str | int) -> httpx.Response:
        return self.http.get(self.url(endpoint), params=parameters or None, headers=self.headers)

    def follow(self, href: str) -> httpx.Response:
        return self.http.get(href, headers=self.headers)

    def post(self, endpoint: str, **fields: Any) -> httpx.Response:
        return self.http.post(self.url(endpoint), json=fields, headers=self.headers)

    def walk(self, endpoint: str, link: str = "next", **parameters: str | int) -> list[dict[str, Any]]:
        """Return every page, as far as links of one name lead."""
        pages = [self.get(endpoint, **parameters).json()]
        while link in pages[-1]["_links"]:
            pages.append(self.follow(pages[-1]["_links"][link]["href"]).json())
        return pages


@contextmanager
def simulated(
    settings: Settings | None = None,
    *,
    world: World = WORLD,
    now: datetime = NOW,
    catalogue: Mapping[str, ResourceKind] = CATALOGUE,
    authorized: bool = True,
) -> Iterator[Client]:
    app = create_app(world, catalogue, settings or Settings(), lambda: now)
    with serve(app) as running, httpx.Client(timeout=20, verify=TLS) as http:
        client = Client(running, http, world.environment_id)
        if authorized:
            client.authorize()
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with simulated() as client:
        yield client


def records(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]]
    (items,) = page["_embedded"].values()
    return items


def ids(pages: Sequence[Mapping[str, Any]]) -> list[str]:
    return [record["id"] for page in pages for record in records(page)]


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


# --- every endpoint -------------------------------------------------------------------------------------


def refusals() -> list[Any]:
    table = read_yaml(SPEC / "refusals.yaml")
    return [pytest.param(case, id=f"{case['get']}: {case['because']}") for case in table]


@pytest.mark.parametrize("case", refusals())
def test_refuses_what_the_documentation_does_not_allow(client: Client, case: dict[str, Any]):
    """Each with 400, the code of the documentation, and what would be accepted where it can be said."""
    answer = client.get(case["get"], **case["with"])
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert body["code"] == "INVALID_DATA"
    (detail,) = body["details"]
    assert detail["code"] == case["detail"]
    assert detail["target"] == case.get("target", "filter")
    assert detail.get("innerError", {}) == case.get("inner", {})


def test_every_error_has_an_identifier_of_its_own_and_a_message(client: Client):
    first, second = (client.get("activities").json() for _ in range(2))
    assert first["id"] != second["id"]
    assert first["message"]


def test_a_request_without_a_token_is_401(client: Client):
    answer = client.http.get(client.url("activities"))
    assert answer.status_code == 401
    assert answer.json()["code"] == "ACCESS_FAILED"
    assert answer.json()["details"][0]["code"] == "INSUFFICIENT_PERMISSIONS"


@pytest.mark.parametrize("header", ["Bearer nonsense", "Basic c2ltdWxhdG9yLWNsaWVudA==", "bearer", ""])
def test_a_header_that_is_no_token_of_ours_is_401(client: Client, header: str):
    answer = client.http.get(client.url("activities"), headers={"authorization": header})
    assert answer.status_code == 401


def test_an_environment_that_does_not_exist_is_403_and_not_404(client: Client):
    url = f"{client.running.api_url}/environments/00000000-0000-4000-8000-000000000001/activities"
    answer = client.http.get(url, headers=client.headers)
    assert answer.status_code == 403
    assert answer.json()["code"] == "ACCESS_FAILED"


def test_an_environment_without_permission_is_403_and_its_neighbour_is_not():
    sandbox = WORLD.environments[1].id
    with simulated(Settings(forbidden_environments=(sandbox,))) as client:
        assert client.get("activities", filter=RANGE).status_code == 200
        client.environment_id = sandbox
        assert client.get("activities", filter=RANGE).status_code == 403


def test_an_unknown_path_is_404(client: Client):
    answer = client.get("activitys")
    assert answer.status_code == 404
    assert answer.json()["code"] == "NOT_FOUND"


def test_a_path_with_the_version_twice_is_404(client: Client):
    url = client.url("activities").replace("/v1/", "/v1/v1/")
    assert client.http.get(url, headers=client.headers).status_code == 404


@pytest.mark.parametrize(
    ("method", "endpoint"),
    [("DELETE", "activities"), ("PUT", "activities"), ("HEAD", "activities"), ("POST", "userActivities")],
)
def test_a_method_that_is_not_documented_is_405(client: Client, method: str, endpoint: str):
    answer = client.http.request(method, client.url(endpoint), headers=client.headers)
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


def test_answers_have_the_headers_of_the_real_service(client: Client):
    first, second = (client.get("activities", filter=RANGE, limit=1) for _ in range(2))
    assert first.headers["content-type"] == "application/hal+json;charset=UTF-8"
    assert first.headers["cache-control"] == "no-cache, no-store, max-age=0, must-revalidate"
    assert first.headers["correlation-id"] == first.headers["x-amzn-requestid"]
    assert first.headers["correlation-id"] != second.headers["correlation-id"]
    assert first.headers["date"] == "Sat, 21 Nov 2026 10:30:00 GMT"
    assert not {"etag", "last-modified", "server"} & set(first.headers)


def test_a_parameter_that_the_endpoint_does_not_know_is_ignored_and_recorded(client: Client):
    answer = client.get("activities", filter=RANGE, limit=1, includeDuplicates="true", order="recordedAt")
    assert answer.status_code == 200
    assert "includeDuplicates" not in answer.json()["_links"]["self"]["href"]
    assert client.running.requests[-1].ignored == ("includeDuplicates", "order")


def test_requests_are_recorded_in_order_without_credentials():
    with simulated() as client:
        client.get("activities", filter=RANGE, limit=3)
        client.get("activities")
        token, good, bad = client.running.requests
    assert (token.method, token.path) == ("POST", f"/{WORLD.environment_id}/as/token")
    assert token.headers["authorization"] == "Basic (hidden)"
    assert good.headers["authorization"] == "Bearer (hidden)"
    assert good.query == {"filter": RANGE, "limit": "3"}
    assert [request.status for request in (token, good, bad)] == [200, 200, 400]
    assert all(request.at == NOW for request in (token, good, bad))


def test_the_secret_of_a_form_is_not_recorded():
    with simulated(Settings(auth_method="client_secret_post"), authorized=False) as client:
        form = {
            "grant_type": "client_credentials",
            "client_id": "simulator-client",
            "client_secret": "simulator-secret",
        }
        client.http.post(f"{client.running.auth_url}/{client.environment_id}/as/token", data=form)
        (request,) = client.running.requests
    assert "simulator-secret" not in request.body
    assert "client_id=simulator-client" in request.body


def test_a_plus_sign_in_a_query_is_a_space(client: Client):
    """So an offset such as +00:00 must be sent as %2B00:00."""
    text = 'recordedAt%20ge%20"2026-11-20T00:00:00{}00:00"%20and%20recordedAt%20lt%20"2026-11-21T00:00:00Z"'
    url = client.url("activities") + "?filter="
    assert client.http.get(url + text.format("%2B"), headers=client.headers).status_code == 200
    assert client.http.get(url + text.format("+"), headers=client.headers).status_code == 400


def test_compresses_for_clients_that_accept_it():
    with simulated(Settings(gzip=True)) as client:
        packed = client.get("activities", filter=RANGE)
        client.headers["accept-encoding"] = "identity"
        plain = client.get("activities", filter=RANGE)
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.json()["_embedded"] == plain.json()["_embedded"]


def test_latency_delays_every_answer():
    with simulated(Settings(latency_s=0.05)) as client:
        assert client.get("activities", filter=RANGE).elapsed >= timedelta(seconds=0.05)


# --- activities -----------------------------------------------------------------------------------------


def test_activities_come_newest_first(client: Client):
    pages = client.walk("activities", filter=RANGE, limit=500)
    instants = [record["recordedAt"] for page in pages for record in records(page)]
    assert len(pages) > 3
    assert instants == sorted(instants, reverse=True)
    assert len(set(ids(pages))) == len(instants)


def test_a_walk_over_small_pages_finds_the_same_as_one_over_large_ones(client: Client):
    text = f'{RANGE} and action.type eq "USER.ACCESS_ALLOWED"'
    small = client.walk("activities", filter=text, limit=37)
    large = client.walk("activities", filter=text, limit=500)
    assert ids(small) == ids(large)
    assert all(len(records(page)) == 37 for page in small[:-1])


def test_a_link_to_the_next_page_is_absolute_and_holds_nothing_but_a_cursor(client: Client):
    links = client.get("activities", filter=RANGE, limit=2).json()["_links"]
    url = urlsplit(links["next"]["href"])
    assert f"{url.scheme}://{url.netloc}" == client.running.auth_url
    assert url.path == urlsplit(client.url("activities")).path
    assert list(parse_qs(url.query)) == ["cursor"]


def test_activities_have_no_count_no_size_and_no_link_back(client: Client):
    pages = client.walk("activities", filter=RANGE, limit=500)
    assert all(set(page) == {"_links", "_embedded"} for page in pages)
    assert all("previous" not in page["_links"] for page in pages)
    assert set(pages[-1]["_links"]) == {"self"}


@pytest.mark.parametrize("change", [lambda c: c[:-4], lambda c: c.swapcase(), lambda _: "eyJwYWdlIjogMX0="])
def test_a_cursor_that_was_built_or_edited_is_refused(client: Client, change: Any):
    href = client.get("activities", filter=RANGE, limit=2).json()["_links"]["next"]["href"]
    cursor = parse_qs(urlsplit(href).query)["cursor"][0]
    answer = client.get("activities", cursor=change(cursor))
    assert answer.status_code == 400
    assert answer.json()["details"][0]["target"] == "cursor"


def test_a_cursor_is_good_for_its_own_path_only(client: Client):
    href = client.get("activities", filter=RANGE, limit=2).json()["_links"]["next"]["href"]
    assert client.follow(href.replace("/activities?", "/activeIdentityCounts?")).status_code == 400


def test_without_a_limit_a_page_has_100_activities(client: Client):
    assert len(records(client.get("activities", filter=RANGE).json())) == 100


def test_the_largest_page_is_a_setting():
    with simulated(Settings(page_size=20)) as client:
        assert len(records(client.get("activities", filter=RANGE).json())) == 20
        answer = client.get("activities", filter=RANGE, limit=21)
    assert answer.json()["details"][0]["innerError"] == {"rangeMinimumValue": 1, "rangeMaximumValue": 20}


def test_events_older_than_the_hot_span_are_not_there(client: Client):
    text = 'recordedAt gt "2026-10-28T00:00:00Z" and recordedAt lt "2026-11-10T00:00:00Z"'
    pages = client.walk("activities", filter=text, limit=500)
    oldest = min(record["recordedAt"] for page in pages for record in records(page))
    assert instant(oldest) >= NOW - timedelta(days=14)
    assert not set(ids(pages)) & set(WORLD.facts.deletions_aged_out)


def test_events_age_by_the_clock():
    text = 'recordedAt gt "2026-11-08T00:00:00Z" and recordedAt lt "2026-11-09T00:00:00Z"'
    with simulated() as client:
        assert records(client.get("activities", filter=text).json())
    with simulated(now=NOW + timedelta(days=2)) as client:
        assert records(client.get("activities", filter=text).json()) == []


def test_the_hot_span_is_a_setting():
    with simulated(Settings(hot_span=timedelta(days=2))) as client:
        pages = client.walk("activities", filter=RANGE, limit=500)
    assert min(map(instant, (r["recordedAt"] for p in pages for r in records(p)))) >= NOW - timedelta(days=2)


def test_the_longest_span_is_a_setting():
    with simulated(Settings(longest_span=timedelta(days=1))) as client:
        answer = client.get("activities", filter=RANGE)
    (detail,) = answer.json()["details"]
    assert (detail["code"], detail["innerError"]["rangeMaximumValue"]) == ("OUT_OF_RANGE", 1)


def test_a_range_of_exactly_fourteen_days_is_accepted(client: Client):
    text = 'recordedAt ge "2026-11-07T10:30:00Z" and recordedAt lt "2026-11-21T10:30:00Z"'
    assert client.get("activities", filter=text).status_code == 200


@pytest.mark.parametrize(
    ("low", "high", "ends"), [("ge", "le", 2), ("gt", "le", 1), ("ge", "lt", 1), ("gt", "lt", 0)]
)
def test_both_ends_of_a_range_are_included_or_not_as_their_operators_say(
    client: Client, low: str, high: str, ends: int
):
    newest, *_, oldest = records(client.get("activities", filter=RANGE, limit=5).json())
    text = f'recordedAt {low} "{oldest["recordedAt"]}" and recordedAt {high} "{newest["recordedAt"]}"'
    assert len(records(client.get("activities", filter=text).json())) == 3 + ends


def test_keywords_and_attributes_are_known_in_any_case(client: Client):
    one = client.get("activities", filter=f'{RANGE} and action.type eq "USER.CREATED"').json()
    other = client.get(
        "activities",
        filter=f'recordedat GE "{FROM}" AND RECORDEDAT Lt "{TO}" AND Action.Type EQ "USER.CREATED"',
    ).json()
    assert ids([one])
    assert ids([one]) == ids([other])


def test_a_range_in_another_offset_is_the_same_range(client: Client):
    here = 'recordedAt ge "2026-11-20T00:00:00Z" and recordedAt lt "2026-11-21T00:00:00Z"'
    there = 'recordedAt ge "2026-11-19T20:00:00-04:00" and recordedAt lt "2026-11-21T05:30:00+05:30"'
    assert ids(client.walk("activities", filter=here)) == ids(client.walk("activities", filter=there))


def test_a_range_on_the_time_of_creation_is_accepted_too(client: Client):
    text = 'createdAt gt "2026-11-20T00:00:00Z" and createdAt lt "2026-11-21T00:00:00Z"'
    found = [record for page in client.walk("activities", filter=text) for record in records(page)]
    assert found
    assert all("2026-11-20T00:00:00Z" < record["createdAt"] < "2026-11-21T00:00:00Z" for record in found)


def test_a_range_and_a_group_of_types_is_accepted(client: Client):
    """As in the link of the active identity counts."""
    text = f'{RANGE} AND (action.type eq "USER.CREATED" OR action.type eq "USER.DELETED")'
    found = [record for page in client.walk("activities", filter=text) for record in records(page)]
    assert {record["action"]["type"] for record in found} == {"USER.CREATED", "USER.DELETED"}


@pytest.mark.parametrize(
    ("attribute", "path"),
    [
        ("correlationid", ("correlationId",)),
        ("actors.client.id", ("actors", "client", "id")),
        ("actors.user.id", ("actors", "user", "id")),
        ("actor.user.id", ("actors", "user", "id")),
        ("actors.user.name", ("actors", "user", "name")),
        ("resources.id", ("resources", 0, "id")),
        ("resources.population.id", ("resources", 0, "population", "id")),
    ],
)
def test_an_attribute_selects_the_events_that_have_its_value(
    client: Client, attribute: str, path: tuple[str | int, ...]
):
    def value(record: Any) -> Any:
        for step in path:
            try:
                record = record[step]
            except (KeyError, IndexError):
                return None
        return record

    everything = [
        record for page in client.walk("activities", filter=RANGE, limit=500) for record in records(page)
    ]
    sought = next(found for record in everything if (found := value(record)))
    quoted = sought.replace("\\", "\\\\").replace('"', '\\"')
    found = client.walk("activities", filter=f'{RANGE} and {attribute} eq "{quoted}"', limit=500)
    expected = {record["id"] for record in everything if value(record) == sought}
    assert expected <= set(ids(found))
    assert len(set(ids(found)) - expected) <= len(everything) // 10  # a second resource may match as well


def test_tags_select_what_administrators_did_to_administrators(client: Client):
    found = client.walk("activities", filter=f'{RANGE} and tags eq "adminIdentityEvent"')
    assert all("adminIdentityEvent" in record["tags"] for page in found for record in records(page))
    assert set(WORLD.facts.organization_admin_grants) <= set(ids(found))


def test_the_environment_and_the_organization_can_be_named(client: Client):
    right = f'{RANGE} and environment.id eq "{client.environment_id}" and org.id eq "{WORLD.organization_id}"'
    wrong = f'{RANGE} and org.id eq "{client.environment_id}"'
    assert records(client.get("activities", filter=right).json())
    assert records(client.get("activities", filter=wrong).json()) == []


def test_all_types_of_resources_can_be_asked_for(client: Client):
    everything = ids(client.walk("activities", filter=RANGE, limit=500))
    assert (
        ids(client.walk("activities", filter=f'{RANGE} and resources.type eq "ALL"', limit=500)) == everything
    )
    users = client.walk("activities", filter=f'{RANGE} and resources.type eq "USER"', limit=500)
    assert all(
        "USER" in {r["type"] for r in record["resources"]} for page in users for record in records(page)
    )


def test_planted_deletions_are_found_through_the_interface(client: Client):
    facts = WORLD.facts
    found = ids(
        client.walk("activities", filter=f'{RANGE} and action.type eq "APPLICATION.DELETED"', limit=5)
    )
    planted = (
        facts.deletions_by_admin_clients + facts.deletions_by_other_clients + facts.deletions_without_client
    )
    assert sorted(found) == sorted(planted)


def test_no_match_is_an_empty_page(client: Client):
    page = client.get("activities", filter=f'{RANGE} and resources.id eq "none"').json()
    assert page["_embedded"] == {"activities": []}
    assert set(page["_links"]) == {"self"}


# --- activities as a POST -------------------------------------------------------------------------------


def test_a_post_reads_the_same_and_leads_on_by_an_offset(client: Client):
    fields: dict[str, Any] = {"filter": RANGE, "limit": 300}
    pages = [client.post("activities", **fields).json()]
    while "offset" in pages[-1]:
        pages.append(client.post("activities", **fields, offset=pages[-1]["offset"]).json())
    assert ids(pages) == ids(client.walk("activities", filter=RANGE, limit=300))
    assert all(set(page["_links"]) == {"self"} for page in pages)


def test_an_offset_is_good_for_its_own_filter_only(client: Client):
    offset = client.post("activities", filter=RANGE, limit=3).json()["offset"]
    answer = client.post("activities", filter=f'{RANGE} and org.id eq "x"', limit=3, offset=offset)
    assert answer.status_code == 400
    assert answer.json()["details"][0]["target"] == "offset"


def test_a_post_needs_a_filter_too(client: Client):
    assert client.post("activities", limit=3).json()["details"][0]["code"] == "REQUIRED_VALUE"


def test_a_post_with_a_limit_in_quotes_is_refused(client: Client):
    assert client.post("activities", filter=RANGE, limit="3").json()["details"][0]["target"] == "limit"


def test_a_post_of_something_else_than_json_is_415(client: Client):
    answer = client.http.post(client.url("activities"), data={"filter": RANGE}, headers=client.headers)
    assert answer.status_code == 415
    assert answer.json()["code"] == "INVALID_REQUEST"


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_a_post_of_broken_json_is_400(client: Client, body: bytes):
    headers = {**client.headers, "content-type": "application/json"}
    answer = client.http.post(client.url("activities"), content=body, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["code"] == "INVALID_REQUEST"


# --- active identity counts -----------------------------------------------------------------------------

HOURS = 'startDate ge "2026-10-01T19:00:00Z" and samplingPeriod eq "24"'
DAYS = 'startDate ge "2026-10-01T19:00:00Z"'


def test_periods_of_hours_keep_the_time_of_day_of_the_start(client: Client):
    first, second = records(client.get("activeIdentityCounts", filter=HOURS, limit=2).json())
    assert (first["startDate"], first["endDate"]) == ("2026-10-01T19:00:00Z", "2026-10-02T18:59:59Z")
    assert second["startDate"] == "2026-10-02T19:00:00Z"


def test_periods_of_days_are_those_of_utc(client: Client):
    parameters = {"filter": DAYS, "samplePeriod": "DAY"}
    first, second = records(client.get("metrics/activeIdentityCounts", limit=2, **parameters).json())
    assert (first["startDate"], first["endDate"]) == ("2026-10-01T00:00:00Z", "2026-10-01T23:59:59.999Z")
    assert second["startDate"] == "2026-10-02T00:00:00Z"


def test_periods_of_months_are_those_of_the_calendar(client: Client):
    text = 'startDate ge "2026-01-15T19:00:00Z"'
    page = client.get("metrics/activeIdentityCounts", filter=text, samplePeriod="MONTH").json()
    starts = [record["startDate"] for record in records(page)]
    assert starts == [f"2026-{month:02}-01T00:00:00Z" for month in range(1, 12)]
    assert records(page)[1]["endDate"] == "2026-02-28T23:59:59.999Z"


def test_count_is_the_number_of_periods_with_the_running_one(client: Client):
    """2026-10-01T19:00 to 2026-11-21T10:30 are 50.6 days."""
    pages = client.walk("activeIdentityCounts", filter=HOURS, limit=20)
    assert [page["count"] for page in pages] == [51, 51, 51]
    assert [page["size"] for page in pages] == [20, 20, 11]
    last = records(pages[-1])[-1]
    assert instant(last["startDate"]) < NOW < instant(last["endDate"])


def test_cumulative_counts_unique_identities_since_the_start_and_never_falls(client: Client):
    pages = client.walk("activeIdentityCounts", filter=HOURS, limit=20)
    items = [record for page in pages for record in records(page)]
    assert items[0]["cumulative"] == items[0]["value"]
    assert all(before["cumulative"] <= after["cumulative"] for before, after in pairwise(items))
    assert all(item["cumulative"] >= item["value"] for item in items)


def test_the_newer_endpoint_links_to_the_events_behind_each_count(client: Client):
    """The link leaves out the first instant and the last second, so it may find fewer identities."""
    text = 'startDate ge "2026-11-18T00:00:00Z" and samplingPeriod eq "24"'
    for item in records(client.get("activeIdentityCounts", filter=text).json()):
        found = records(client.follow(item["_links"]["activities"]["href"]).json())
        active = {"SESSION.CREATED", "SESSION.UPDATED", "PASSWORD.CHECK_SUCCEEDED"}
        assert {record["action"]["type"] for record in found} <= active
        users = {record["resources"][0]["id"] for record in found}
        assert item["value"] - 1 <= len(users) <= item["value"]


def test_ascending_pages_lead_on_by_next_and_back_by_previous(client: Client):
    first, second, third = client.walk("activeIdentityCounts", filter=HOURS, limit=20)
    assert [set(page["_links"]) for page in (first, second, third)] == [
        {"self", "next"},
        {"self", "next", "previous"},
        {"self", "previous"},
    ]
    assert records(client.follow(third["_links"]["previous"]["href"]).json()) == records(second)


def test_descending_order_shows_the_earliest_periods_first_and_leads_to_the_later_by_previous(client: Client):
    """As the documented sample does, against what one would expect."""
    parameters = {"filter": DAYS, "samplePeriod": "DAY", "order": "-startDate"}
    pages = client.walk("metrics/activeIdentityCounts", link="previous", limit=20, **parameters)
    starts = [[record["startDate"][:10] for record in records(page)] for page in pages]
    assert set(pages[0]["_links"]) == {"self", "previous"}
    assert (starts[0][0], starts[0][-1]) == ("2026-10-20", "2026-10-01")
    assert (starts[-1][0], starts[-1][-1]) == ("2026-11-21", "2026-11-10")
    assert sum(map(len, starts)) == pages[0]["count"] == 52


def test_a_walk_keeps_its_count_while_time_goes_on():
    times = iter([NOW, NOW, NOW + timedelta(minutes=50)])
    hourly = 'startDate ge "2026-11-21T00:00:00Z" and samplingPeriod eq "1"'
    app = create_app(WORLD, CATALOGUE, Settings(), lambda: next(times))
    with serve(app) as running, httpx.Client(verify=TLS) as http:
        client = Client(running, http, WORLD.environment_id)
        client.authorize()
        first = client.get("activeIdentityCounts", filter=hourly, limit=10).json()
        second = client.follow(first["_links"]["next"]["href"]).json()
    assert first["count"] == second["count"] == 11
    assert len(records(first)) + len(records(second)) == 11


def test_both_spellings_of_the_sampling_parameter_are_accepted(client: Client):
    one = client.get("metrics/activeIdentityCounts", filter=DAYS, samplePeriod="MONTH").json()
    other = client.get("metrics/activeIdentityCounts", filter=DAYS, samplingPeriod="MONTH").json()
    assert one["count"] == other["count"] == 2


def test_a_start_in_the_future_has_no_periods(client: Client):
    text = 'startDate ge "2027-01-01T00:00:00Z" and samplingPeriod eq "24"'
    page = client.get("activeIdentityCounts", filter=text).json()
    assert (page["count"], page["size"], records(page)) == (0, 0, [])


# --- user activities ------------------------------------------------------------------------------------


def sign_ons(client: Client, start: str, end: str, **parameters: str) -> list[dict[str, Any]]:
    text = f'startDate eq "{start}" and endDate eq "{end}"'
    answer = client.get("userActivities", filter=text, **parameters)
    assert answer.status_code == 200, answer.text
    return records(answer.json())


def test_only_whole_buckets_are_counted_in_the_offset_of_the_filter(client: Client):
    found = sign_ons(client, "2026-11-12T09:10:12-04:00", "2026-11-18T09:10:12-04:00")
    assert found[0]["startDate"] == "2026-11-13T00:00:00-04:00"
    assert found[-1]["endDate"] == "2026-11-18T00:00:00-04:00"
    assert len(found) == 5


@pytest.mark.parametrize(
    ("end", "hours"),
    [
        ("2026-09-05T23:59:00Z", 1),
        ("2026-09-06T00:00:00Z", 1),
        ("2026-09-06T00:01:00Z", 24),
        ("2026-10-31T00:00:00Z", 24),
        ("2026-10-31T00:01:00Z", 168),
    ],
)
def test_the_default_size_of_a_bucket_follows_from_the_length_of_the_range(
    client: Client, end: str, hours: int
):
    first = sign_ons(client, "2026-09-01T00:00:00Z", end)[0]
    assert instant(first["endDate"]) - instant(first["startDate"]) == timedelta(hours=hours)


def test_weeks_start_on_monday(client: Client):
    found = sign_ons(client, "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z", sampleSize="WEEK")
    assert [instant(bucket["startDate"]).weekday() for bucket in found] == [0, 0, 0]
    assert found[0]["startDate"] == "2026-10-05T00:00:00Z"


def test_hours_of_a_day_add_up_to_the_day(client: Client):
    span = ("2026-11-10T00:00:00Z", "2026-11-13T00:00:00Z")
    hours, days = (sign_ons(client, *span, sampleSize=size) for size in ("HOUR", "DAY"))
    for path in (("userSignOns", "successes"), ("userSignOns", "failures")):
        assert sum(h[path[0]][path[1]] for h in hours) == sum(d[path[0]][path[1]] for d in days)
    assert len(hours) == 24 * len(days) == 72


def test_sign_ons_agree_with_the_events_of_the_log(client: Client):
    (day,) = sign_ons(client, "2026-11-18T00:00:00Z", "2026-11-19T00:00:00Z", sampleSize="DAY")
    span = 'recordedAt ge "2026-11-18T00:00:00Z" and recordedAt lt "2026-11-19T00:00:00Z"'
    for kind, number in (
        ("PASSWORD.CHECK_SUCCEEDED", day["userSignOns"]["successes"]),
        ("PASSWORD.CHECK_FAILED", day["userSignOns"]["failures"]),
        ("PASSWORD.RESET", day["passwordResets"]),
    ):
        found = ids(client.walk("activities", filter=f'{span} and action.type eq "{kind}"', limit=500))
        assert len(found) == number
    assert day["userSignOns"]["failures"] >= 60, "the planted burst is on this day"


def test_a_bucket_that_is_not_over_is_left_out(client: Client):
    found = sign_ons(client, "2026-11-20T00:00:00Z", "2026-11-23T00:00:00Z", sampleSize="DAY")
    assert [bucket["startDate"] for bucket in found] == ["2026-11-20T00:00:00Z"]


def test_without_a_filter_the_last_thirty_days_are_counted(client: Client):
    found = records(client.get("userActivities").json())
    assert found[0]["startDate"] == "2026-10-23T00:00:00Z"
    assert found[-1]["endDate"] == "2026-11-21T00:00:00Z"


def test_user_activities_have_no_paging_no_count_and_no_size(client: Client):
    page = client.get("userActivities", limit=1, cursor="x").json()
    assert set(page) == {"_links", "_embedded"}
    assert set(page["_links"]) == {"self"}
    assert len(records(page)) > 1
    assert client.running.requests[-1].ignored == ("limit", "cursor")


# --- rate limits ----------------------------------------------------------------------------------------


def statuses(client: Client, endpoint: str, number: int, **parameters: str) -> list[int]:
    return [client.get(endpoint, **parameters).status_code for _ in range(number)]


def test_over_the_rate_limit_the_answer_is_429_and_says_when_to_come_back():
    with simulated(Settings(rate_limits={"rlgAuditRps": "5/min"}, allow_listed=True)) as client:
        assert statuses(client, "activities", 5, filter=RANGE) == [200] * 5
        answer = client.get("activities", filter=RANGE)
    assert answer.status_code == 429
    assert answer.json()["code"] == "REQUEST_LIMITED"
    (detail,) = answer.json()["details"]
    assert detail["code"] == "LIMIT_EXCEEDED"
    assert detail["innerError"]["quotaLimit"] == 5
    assert 50 < int(answer.headers["retry-after"]) == detail["innerError"]["retryAfter"] <= 60


def test_one_address_gets_its_share_of_the_documented_rate():
    """10 requests in a second for the licence, 35 % of them for one address."""
    with simulated(Settings(rate_limits={"rlgAuditRps": "documented"})) as client:
        assert statuses(client, "activities", 4, filter=RANGE) == [200, 200, 200, 429]


def test_endpoints_of_one_group_share_a_limit_and_those_of_another_do_not():
    with simulated(Settings(rate_limits={"rlgAnalyticsRpm": "2/min"}, allow_listed=True)) as client:
        assert statuses(client, "activeIdentityCounts", 1, filter=HOURS) == [200]
        assert statuses(client, "userActivities", 2) == [200, 429]
        assert statuses(client, "activities", 3, filter=RANGE) == [200] * 3


def test_environments_share_the_limit_of_their_licence():
    sandbox = WORLD.environments[1].id
    with simulated(Settings(rate_limits={"rlgAuditRps": "3/min"}, allow_listed=True)) as client:
        assert statuses(client, "activities", 2, filter=RANGE) == [200, 200]
        client.environment_id = sandbox
        assert statuses(client, "activities", 2, filter=RANGE) == [200, 429]


@pytest.mark.slow
def test_a_limit_is_over_when_its_time_is():
    with simulated(Settings(rate_limits={"rlgAuditRps": "1/s"}, allow_listed=True)) as client:
        assert statuses(client, "activities", 2, filter=RANGE) == [200, 429]
        while client.get("activities", filter=RANGE).status_code == 429:
            pass
        seen = client.running.requests
    assert seen[-1].status == 200


def test_a_rate_that_can_not_be_read_is_an_error():
    with pytest.raises(ValueError, match="ten a second"):
        create_app(WORLD, CATALOGUE, Settings(rate_limits={"rlgAuditRps": "ten a second"}), lambda: NOW)


# --- in the foreground ----------------------------------------------------------------------------------

FOREGROUND = """
from datetime import UTC, datetime
from auditor.simulator import Settings, World, create_app, run

now = datetime(2026, 11, 21, tzinfo=UTC)
app = create_app(World.generate(7, 10, now), {}, Settings(), lambda: now)
run(app, "127.0.0.1", 0, started=lambda running: print(running.api_url, flush=True))
print(len(app.state.simulator.seen), flush=True)
"""


def test_an_interrupt_ends_a_simulator_in_the_foreground_cleanly():
    command = [sys.executable, "-W", "error", "-c", FOREGROUND]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/environments/x/activities", verify=TLS).status_code == 401
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert rest == "0\n", "requests are not kept"


def test_an_address_that_is_taken_is_an_error():
    app = create_app(WORLD, CATALOGUE, Settings(), lambda: NOW)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        run(app, "127.0.0.1", taken.getsockname()[1])


# --- descriptors ----------------------------------------------------------------------------------------


def test_an_endpoint_is_known_by_its_descriptor_and_not_by_its_name():
    renamed = CATALOGUE["activities"].model_copy(
        update={"kind": "journal", "path": "/environments/{environment_id}/journal"}
    )
    with simulated(catalogue={"journal": renamed}) as client:
        assert client.get("journal", filter=RANGE).status_code == 200
        assert client.get("activities", filter=RANGE).status_code == 404


def test_an_endpoint_without_a_window_is_not_served_yet():
    inventory = CATALOGUE["activities"].model_copy(update={"window": None})
    with simulated(catalogue={"activities": inventory}) as client:
        assert client.get("activities").status_code == 404

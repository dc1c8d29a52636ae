"""What goes wrong on purpose: each fault once, over a real connection."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from time import perf_counter
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.simulator import Fault, Settings, create_app
from tests.test_simulator import CATALOGUE, NOW, RANGE, WORLD, Client, ids, instant, records, simulated

COUNTS = 'startDate ge "2026-11-01T00:00:00Z"'


@contextmanager
def troubled(*faults: str, authorized: bool = True) -> Iterator[Client]:
    settings = Settings(faults=tuple(map(Fault.parse, faults)))
    with simulated(settings, authorized=authorized) as client:
        yield client


def read(client: Client, **parameters: str | int) -> httpx.Response:
    return client.get("activities", **{"filter": RANGE, **parameters})


def counts(client: Client) -> dict[str, Any]:
    page: dict[str, Any] = client.get(
        "metrics/activeIdentityCounts", filter=COUNTS, samplePeriod="DAY"
    ).json()
    return page


def token(client: Client) -> httpx.Response:
    url = f"{client.running.auth_url}/{client.environment_id}/as/token"
    auth = ("simulator-client", "simulator-secret")
    return client.http.post(url, data={"grant_type": "client_credentials"}, auth=auth)


# --- writing faults down --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("reset", Fault("reset")),
        ("429=2", Fault("429", "2")),
        ("429x3", Fault("429", times=3)),
        ("429-date=5@/activities x2", Fault("429-date", "5", "/activities", 2)),
        ("404@metrics/", Fault("404", path="metrics/")),
        (
            "redirect=https://a.example:8443/b?c=dx2",
            Fault("redirect", "https://a.example:8443/b?c=d", times=2),
        ),
        ("refuse-filter= or ", Fault("refuse-filter", " or")),
        (" small-pages=1@environments ", Fault("small-pages", "1", "environments")),
    ],
)
def test_a_fault_is_written_as_one_word(text: str, fault: Fault):
    assert Fault.parse(text) == fault


def any_fault(kind: str) -> st.SearchStrategy[Fault]:
    values = ["", "300"] if "=" in Fault.NAMES[kind] else [""]
    paths = st.sampled_from(["", "/activities", "metrics"])
    return st.builds(Fault, st.just(kind), st.sampled_from(values), paths, st.sampled_from([None, 1, 25]))


@given(st.sampled_from(sorted(Fault.NAMES)).flatmap(any_fault))
def test_a_fault_is_printed_as_it_is_written(fault: Fault):
    assert Fault.parse(str(fault)) == fault


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rest", 'did you mean "reset"'),
        ("", "write NAME"),
        ("429=soon", "must be a number"),
        ("stall=x", "must be a number"),
        ("stall=nan", "must be a number"),
        ("html=99", "no status"),
        ("reset=3", "takes no value"),
        ("Reset", "write NAME"),
        ("resetx0", "is no fault"),
    ],
)
def test_a_mistake_in_a_fault_is_named(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        Fault.parse(text)


def test_a_fault_must_strike_at_least_once():
    with pytest.raises(ValueError, match="0 times"):
        Fault("reset", times=0)


def test_every_fault_is_explained_in_one_line():
    assert all(text and "\n" not in text and len(text) < 90 for text in Fault.NAMES.values())


# --- where and how often --------------------------------------------------------------------------------


def test_a_fault_strikes_as_often_as_it_says():
    with troubled("503x2") as client:
        assert [read(client).status_code for _ in range(4)] == [503, 503, 200, 200]


def test_a_fault_without_a_number_strikes_every_time():
    with troubled("503") as client:
        assert {read(client).status_code for _ in range(4)} == {503}


def test_a_fault_with_a_path_spares_the_other_endpoints():
    with troubled("403@/userActivities") as client:
        assert read(client).status_code == 200
        assert client.get("userActivities").status_code == 403


def test_a_fault_spares_the_token_endpoint_unless_its_path_says_so():
    with troubled("500") as client:
        assert token(client).status_code == 200
    with troubled("500@/as/token x1", authorized=False) as client:
        assert [token(client).status_code for _ in range(2)] == [500, 200]


def test_faults_strike_one_after_the_other():
    with troubled("429x1", "502x1", "html=502x1") as client:
        answers = [read(client) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 502, 502, 200]
    assert "<html>" in answers[2].text


# --- instead of an answer -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "ACCESS_FAILED"), (403, "ACCESS_FAILED"), (404, "NOT_FOUND"), (500, "UNEXPECTED_ERROR")],
)
def test_errors_of_the_service_have_its_body(status: int, code: str):
    with troubled(str(status)) as client:
        answer = read(client)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("status", [408, 502, 503, 504])
def test_errors_of_the_gateway_have_a_message_only(status: int):
    with troubled(str(status)) as client:
        answer = read(client)
    assert answer.status_code == status
    assert list(answer.json()) == ["message"]


def test_too_many_requests_with_seconds_a_date_or_nothing():
    with troubled("429=7x1", "429-date=7x1", "429-bare x1") as client:
        seconds, date, bare = (read(client) for _ in range(3))
    assert {answer.status_code for answer in (seconds, date, bare)} == {429}
    assert seconds.headers["retry-after"] == "7"
    assert parsedate_to_datetime(date.headers["retry-after"]) == NOW + timedelta(seconds=7)
    assert "retry-after" not in bare.headers
    assert seconds.json()["details"][0]["code"] == "LIMIT_EXCEEDED"


def test_html_of_a_gateway_with_status_200():
    with troubled("html") as client:
        answer = read(client)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")


def test_the_short_json_of_a_gateway_with_a_status():
    with troubled("aws=504") as client:
        answer = read(client)
    assert answer.status_code == 504
    assert list(answer.json()) == ["message"]


def test_text_that_is_no_json_with_the_type_of_json():
    with troubled("not-json") as client:
        answer = read(client)
    assert answer.headers["content-type"].startswith("application/hal+json")
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_redirect_to_another_host():
    with troubled("redirect x1", "redirect=/here x1") as client:
        first, second = read(client), read(client)
    assert (first.status_code, first.headers["location"]) == (302, "https://elsewhere.example/")
    assert second.headers["location"] == "/here"


def test_a_filter_is_refused_for_what_is_in_it():
    grouped = f'{RANGE} and (action.type eq "USER.CREATED" or action.type eq "USER.DELETED")'
    with troubled("refuse-filter= OR ") as client:
        refused, accepted = read(client, filter=grouped), read(client)
    assert refused.status_code == 400
    assert refused.json()["details"][0]["innerError"] == {"supportedOperators": ["eq", "and"]}
    assert accepted.status_code == 200


def test_any_filter_is_refused_without_a_text():
    with troubled("refuse-filter x1") as client:
        assert [read(client).status_code for _ in range(2)] == [400, 200]


# --- the connection -------------------------------------------------------------------------------------


def raw(client: Client, path: str) -> tuple[bytes, bool]:
    """Return all bytes of an answer, and whether the connection was reset."""
    host, port = client.running.auth_url.removeprefix("http://").split(":")
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: {client.headers['authorization']}\r\n\r\n"
    received = b""
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request.encode())
        try:
            while block := connection.recv(65536):
                received += block
        except ConnectionResetError:
            return received, True
    return received, False


def test_a_reset_before_the_answer():
    with troubled("reset") as client:
        received, reset = raw(client, "/v1/environments/x/activities")
        with pytest.raises(httpx.ReadError):
            read(client)
        assert (received, reset) == (b"", True)
        assert client.running.requests[-1].status == 0


def test_a_reset_inside_the_body():
    with troubled("reset-body") as client, pytest.raises(httpx.ReadError):
        read(client, limit=500)


def test_a_body_that_is_shorter_than_announced():
    with (
        troubled("cut") as client,
        pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending"),
    ):
        read(client, limit=5)


def test_a_body_whose_last_chunk_does_not_come():
    with troubled("cut-chunked") as client:
        received, reset = raw(client, f"/v1/environments/{client.environment_id}/userActivities")
    head, _, body = received.partition(b"\r\n\r\n")
    assert not reset
    assert b"content-length" not in head
    assert b'"userActivities"' in body
    assert not body.endswith(b"\r\n0\r\n\r\n")


def test_half_a_body_that_is_framed_as_if_it_were_whole():
    with troubled("cut-framed") as client:
        answer = read(client)
    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_nothing_is_sent_for_a_while():
    with troubled("stall=30 x1") as client:
        with pytest.raises(httpx.ReadTimeout):
            client.http.get(
                client.url("activities"), params={"filter": RANGE}, headers=client.headers, timeout=0.2
            )
        assert read(client).status_code == 200


def test_a_simulator_that_stalls_stops_at_once():
    def ask(client: Client) -> None:
        with pytest.raises(httpx.HTTPError):
            read(client)

    with troubled("stall=30") as client:
        asking = threading.Thread(target=ask, args=[client])
        asking.start()
        while len(client.running.requests) < 2:
            pass
        began = perf_counter()
    asking.join()
    assert perf_counter() - began < 3


def test_pages_come_late():
    with troubled("slow=0.1 x1") as client:
        assert read(client).elapsed >= timedelta(seconds=0.1)


# --- bodies and headers ---------------------------------------------------------------------------------


def test_a_huge_body_is_still_a_page():
    with troubled("huge=3") as client:
        answer = read(client, limit=2)
    assert len(answer.content) > 3 * 1024 * 1024
    assert len(records(answer.json())) == 2


def test_json_that_is_nested_too_deeply():
    with troubled("deep") as client:
        answer = read(client, limit=2)
    with pytest.raises(RecursionError):
        answer.json()


def test_a_date_header_that_is_an_hour_off():
    with troubled("clock-skew x1", "clock-skew=-60 x1") as client:
        ahead, behind = (parsedate_to_datetime(read(client).headers["date"]) for _ in range(2))
    assert ahead == NOW + timedelta(hours=1)
    assert behind == NOW - timedelta(minutes=1)


def test_an_endpoint_announces_its_end():
    with troubled("deprecation@/activeIdentityCounts") as client:
        headers = client.get("activeIdentityCounts", filter=f'{COUNTS} and samplingPeriod eq "24"').headers
        assert {"api-deprecation-date", "api-deprecation-message"} <= set(headers)
        assert "api-deprecation-date" not in read(client).headers


# --- pages ----------------------------------------------------------------------------------------------


def test_pages_are_smaller_than_asked_for_and_still_complete():
    with troubled("small-pages=40") as client:
        pages = client.walk("activities", filter=RANGE, limit=500)
    with simulated() as client:
        whole = client.walk("activities", filter=RANGE, limit=500)
    assert max(len(records(page)) for page in pages) == 40
    assert ids(pages) == ids(whole)


def test_an_empty_first_page_leads_to_all_the_rest():
    with troubled("empty-page") as client:
        empty, *pages = client.walk("activities", filter=RANGE, limit=500)
    with simulated() as client:
        whole = client.walk("activities", filter=RANGE, limit=500)
    assert records(empty) == []
    assert ids(pages) == ids(whole)


def test_pages_without_end():
    with troubled("endless") as client:
        page = read(client, filter=f'{RANGE} and action.type eq "APPLICATION.DELETED"').json()
        assert records(page)
        links = set()
        for _ in range(5):
            link = page["_links"]["next"]["href"]
            assert link not in links
            links.add(link)
            page = client.follow(link).json()
            assert records(page) == []


def test_records_are_repeated_at_the_seams_of_pages():
    with troubled("repeat") as client:
        first, second, third, *_ = client.walk("activities", filter=RANGE, limit=200)
    assert records(second)[0] == records(first)[-1]
    assert records(third)[0] == records(second)[-1]
    assert records(second)[1] not in records(first)


def test_records_come_out_of_order():
    with troubled("disorder") as client:
        instants = [record["recordedAt"] for record in records(read(client).json())]
    assert instants == sorted(instants)
    assert instants[0] < instants[-1]


def test_records_appear_late():
    with troubled("late x2") as client:
        first, second, third = (set(ids([read(client, limit=50).json()])) for _ in range(3))
    assert first == second < third
    assert (len(first), len(third)) == (45, 50)


def test_a_record_outside_of_the_range():
    with troubled("outside") as client:
        *inside, outside = records(read(client, limit=5).json())
        *_, period = records(counts(client))
    assert min(instant(record["recordedAt"]) for record in inside) > NOW - timedelta(days=14)
    assert instant(outside["recordedAt"]) < NOW - timedelta(days=4000)
    assert outside["id"] not in {record["id"] for record in inside}
    assert period["startDate"] == "2014-11-21T00:00:00Z"


def test_a_record_twice_with_two_bodies():
    with troubled("two-bodies") as client:
        first, *_, last = records(read(client, limit=5).json())
        period, *_, same_period = records(counts(client))
    assert (first["id"], first["recordedAt"]) == (last["id"], last["recordedAt"])
    assert first != last
    assert period["startDate"] == same_period["startDate"]
    assert period["value"] + 1 == same_period["value"]


def test_a_record_with_fields_of_the_wrong_types():
    with troubled("types") as client:
        wrong, right, *_ = records(read(client, limit=5).json())
        period, *_ = records(counts(client))
    assert all(type(wrong[name]) is not type(right[name]) for name in ("id", "recordedAt", "action"))
    assert isinstance(period["value"], str)


def test_a_count_that_is_wrong():
    with troubled("count=3") as client:
        page = counts(client)
        assert "count" not in read(client).json()
    assert page["count"] == len(records(page)) + 3


@pytest.mark.parametrize("kind", ["outside", "two-bodies", "types", "late", "disorder"])
def test_a_page_without_records_stays_without(kind: str):
    with troubled(kind) as client:
        assert records(read(client, filter=f'{RANGE} and resources.id eq "none"').json()) == []


# --- links ----------------------------------------------------------------------------------------------


def next_link(client: Client, **parameters: str | int) -> str:
    link: str = read(client, **parameters).json()["_links"]["next"]["href"]
    return link


@pytest.mark.parametrize("limit", [5, 500])
def test_a_link_to_another_host(limit: int):
    with troubled("link-origin") as client:
        assert next_link(client, limit=limit).startswith("https://elsewhere.example/v1/environments/")


def test_a_link_of_another_scheme():
    with troubled("link-scheme") as client:
        assert next_link(client).startswith(client.running.api_url.replace("http:", "https:"))


def test_a_link_into_another_environment_answers_with_its_records():
    production, sandbox = (environment.id for environment in WORLD.environments)
    with troubled("link-environment x1") as client:
        link = next_link(client, limit=5)
        found = records(client.follow(link).json())
    assert production not in link
    assert found
    assert all(f"/{sandbox}/" in json.dumps(record) for record in found)


def test_a_link_to_the_page_itself():
    with troubled("link-self") as client:
        page = read(client, limit=5).json()
    assert page["_links"]["next"] == page["_links"]["self"]


def test_a_cycle_of_two_pages():
    with troubled("link-cycle") as client:
        pages = [read(client, limit=5).json()]
        for _ in range(4):
            pages.append(client.follow(pages[-1]["_links"]["next"]["href"]).json())
    one, other = ids(pages[:1]), ids(pages[1:2])
    assert [ids([page]) for page in pages] == [one, other, one, other, one]
    assert one != other


# --- tokens ---------------------------------------------------------------------------------------------


def test_the_token_endpoint_answers_with_html_or_knows_nobody_or_gives_no_token():
    faults = ("token-html x1", "token-invalid-client x1", "token-json x1")
    with troubled(*faults, authorized=False) as client:
        page, unknown, strange, good = (token(client) for _ in range(4))
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html")
    assert (unknown.status_code, unknown.json()["error"]) == (401, "invalid_client")
    assert strange.status_code == 200
    assert "access_token" not in strange.json()
    assert "access_token" in good.json()


def test_a_token_is_refused_after_some_requests():
    with troubled("token-expires=2") as client:
        assert [read(client).status_code for _ in range(3)] == [200, 200, 401]
        client.authorize()
        assert read(client).status_code == 200


# --- in process -----------------------------------------------------------------------------------------


async def _in_process(app: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as http:
        return await http.get(f"/v1/environments/{WORLD.environment_id}/activities")


def test_runs_without_a_socket_too():
    app = create_app(WORLD, CATALOGUE, Settings(), lambda: NOW)
    assert asyncio.run(_in_process(app)).status_code == 401


def test_a_reset_without_a_socket_is_an_exception():
    app = create_app(WORLD, CATALOGUE, Settings(faults=(Fault("reset"),)), lambda: NOW)
    with pytest.raises(ConnectionResetError):
        asyncio.run(_in_process(app))


def test_the_clock_may_be_anything_that_tells_an_instant():
    moments = iter([NOW, datetime(2027, 1, 1, tzinfo=NOW.tzinfo)])
    app = create_app(WORLD, CATALOGUE, Settings(), lambda: next(moments))
    dates = [asyncio.run(_in_process(app)).headers["date"] for _ in range(2)]
    assert [parsedate_to_datetime(date).year for date in dates] == [2026, 2027]

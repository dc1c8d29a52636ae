"""Tokens: how they are asked for, shared, renewed and refused, and that neither they nor secrets get out."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode, b64encode
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import httpx
import pytest
from joserfc.jwk import RSAKey

from auditor.model.environment import AuthMethod
from tests.pages import (
    API,
    CLIENT_SECRET,
    ENVIRONMENT_ID,
    KINDS,
    NOW,
    TOKEN,
    Answer,
    Clock,
    Tenant,
    answer,
    credentials,
    environment,
    events,
    fetched,
    granted,
    html,
    link,
    ok,
    page,
    query,
    simulated,
)

GOOD = ok(page(events(1)))
REFUSED = answer(401, {"error": "invalid_client", "error_description": "Unsupported authentication."})


SETTLED = {name: kind.model_copy(update={"settling": None}) for name, kind in KINDS.items()}
"""Kinds of which no record comes late: so long as the hours pass here, what is newest would be read once more."""


def sent_with(tenant: Tenant) -> list[str]:
    """Return the token that each request for records carried."""
    return [request.headers["authorization"].removeprefix("Bearer ") for request in tenant.asked]


def form(tenant: Tenant) -> dict[str, str]:
    (request,) = tenant.asked_for_token
    assert request.method == "POST"
    assert str(request.url) == f"https://auth.pingone.com/{ENVIRONMENT_ID}/as/token"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    return dict(parse_qsl(request.content.decode()))


# --- the proof ------------------------------------------------------------------------------------------


def test_a_secret_in_a_header_is_form_encoded_first():
    """RFC 6749, section 2.3.1: else a plus or a percent sign in it would be read as something else."""
    tenant = Tenant(GOOD)
    assert fetched(tenant).end.complete
    assert form(tenant) == {"grant_type": "client_credentials"}
    scheme, _, value = tenant.asked_for_token[0].headers["authorization"].partition(" ")
    assert scheme == "Basic"
    assert b64decode(value).decode() == f"the-client:{quote_plus(CLIENT_SECRET)}"


def test_a_secret_in_the_body_stands_nowhere_else():
    tenant = Tenant(GOOD)
    asked = environment(credentials=credentials(method="client_secret_post"))
    assert fetched(tenant, asked=[asked]).end.complete
    assert form(tenant) == {
        "grant_type": "client_credentials",
        "client_id": "the-client",
        "client_secret": CLIENT_SECRET,
    }
    assert "authorization" not in tenant.asked_for_token[0].headers


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "client_secret_jwt"])
def test_each_way_of_proving_a_secret_is_understood(method: AuthMethod):
    with simulated(auth_method=method) as tenant:
        assert tenant.fetched().end.complete


def test_a_private_key_proves_who_asks():
    key = RSAKey.generate_key(2048)
    pem = key.as_pem(private=True).decode()
    with simulated(
        secret=pem, auth_method="private_key_jwt", public_key=key.as_dict(private=False)
    ) as tenant:
        assert tenant.fetched().end.complete


def test_a_proof_is_dated_by_the_clock_that_is_given():
    with simulated(auth_method="client_secret_jwt") as tenant:
        tenant.clock.now += timedelta(days=3650)
        assert tenant.fetched(tenant.query(now=tenant.clock.now)).end.complete


def test_a_secret_that_is_no_key_is_said_not_to_be_one():
    key = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----"
    tenant = Tenant(GOOD)
    asked = environment(credentials=credentials(key, "private_key_jwt"))
    failure = fetched(tenant, asked=[asked]).failure
    assert failure.code == "credentials.unusable"
    assert "private_key_jwt" in failure.reason
    assert "Y2FuYXJ5" not in str(failure)
    assert tenant.asked_for_token == []


# --- refusals -------------------------------------------------------------------------------------------


def test_a_wrong_secret_is_named_as_such_in_the_words_of_the_endpoint():
    tenant = Tenant(GOOD, tokens=[REFUSED])
    failure = fetched(tenant).failure
    assert failure.code == "credentials.refused"
    assert "status 401" in failure.reason
    assert "invalid_client: Unsupported authentication." in failure.reason
    assert "client secret" in failure.help
    assert "now client_secret_basic" in failure.help
    assert tenant.asked == []


def test_a_wrong_secret_is_refused_over_the_network():
    with simulated() as tenant:
        tenant.environment = environment("simulated", **_urls(tenant), credentials=credentials("wrong"))
        failure = tenant.fetched().failure
        assert failure.code == "credentials.refused"
        assert "invalid_client" in failure.reason


def test_a_secret_proven_in_the_wrong_way_is_refused():
    with simulated(auth_method="client_secret_post") as tenant:
        wrong = credentials(method="client_secret_basic")
        tenant.environment = environment("simulated", **_urls(tenant), credentials=wrong)
        assert "authentication method (now client_secret_basic)" in tenant.fetched().failure.help


def _urls(tenant: Any) -> dict[str, str]:
    return {"api_url": tenant.running.api_url, "auth_url": tenant.running.auth_url}


def test_refused_credentials_are_not_tried_again_for_every_query():
    """Who keeps on trying may be locked out, and the answer would be the same."""
    tenant = Tenant(GOOD, tokens=[REFUSED, granted()])
    queries = [query(id=f"q{number}") for number in range(20)]
    found = fetched(tenant, *queries)
    assert {end.failure.code for end in found.ends if end.failure} == {"credentials.refused"}
    assert len(found.ends) == 20
    assert len(tenant.asked_for_token) == 1


def test_a_token_endpoint_that_is_not_there_is_not_tried_again_for_every_query():
    tenant = Tenant(GOOD, tokens=[httpx.ConnectError("refused")])
    found = fetched(tenant, *(query(id=f"q{number}") for number in range(20)), attempts=2)
    assert {end.failure.code for end in found.ends if end.failure} == {"query.unreachable"}
    assert len(found.ends) == 20
    assert len(tenant.asked_for_token) == 2


def test_a_token_that_could_not_be_renewed_once_is_asked_for_again():
    clock = Clock()

    def expire(_: httpx.Request) -> httpx.Response:
        clock.now += timedelta(hours=2)
        return GOOD

    busy = answer(503, {})
    tenant = Tenant(expire, GOOD, tokens=[granted("first"), busy, busy, granted("second")], clock=clock)
    queries = [query(id=f"q{number}") for number in range(3)]
    found = fetched(tenant, *queries, kinds=SETTLED, concurrency=1, attempts=2)
    assert [end.complete for end in found.ends] == [True, False, True]
    assert sent_with(tenant) == ["first", "second"]


@pytest.mark.parametrize("status", [200, 404])
def test_an_html_page_in_place_of_a_token_is_called_one_and_not_repeated(status: int):
    tenant = Tenant(GOOD, tokens=[html(status)])
    failure = fetched(tenant).failure
    assert failure.code == "credentials.token-endpoint"
    assert f"an HTML page (status {status})" in failure.reason
    assert "sign on" not in failure.reason
    assert "auth_url or the region" in failure.help
    assert len(tenant.asked_for_token) == 1


@pytest.mark.parametrize("fault", ["token-html", "token-json"])
def test_a_token_endpoint_that_answers_something_else_is_told_over_the_network(fault: str):
    with simulated(fault) as tenant:
        assert tenant.fetched().failure.code == "credentials.token-endpoint"
        assert tenant.reads == []


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({}, id="nothing"),
        pytest.param([], id="a list"),
        pytest.param({"access_token": None}, id="null"),
        pytest.param({"access_token": 17}, id="a number"),
        pytest.param({"access_token": ""}, id="an empty token"),
        pytest.param({"access_token": "canary\r\nX-Other: header"}, id="a token with a line break"),
        pytest.param({"access_token": "canary with spaces"}, id="a token with spaces"),
        pytest.param({"access_token": "canary\u2026"}, id="a token that no header can carry"),
    ],
)
def test_an_answer_that_holds_no_token_is_told_and_not_repeated(document: Any):
    tenant = Tenant(GOOD, tokens=[ok(document, Content_Type="application/json")])
    failure = fetched(tenant).failure
    assert failure.code == "credentials.token-endpoint"
    assert "application/json" in failure.reason
    assert "canary" not in str(failure)
    assert tenant.asked == []


def test_a_token_endpoint_that_redirects_is_not_followed():
    tenant = Tenant(GOOD, tokens=[answer(302, b"", Location="https://elsewhere.example/")])
    failure = fetched(tenant).failure
    assert failure.code == "credentials.token-endpoint"
    assert "status 302" in failure.reason
    assert len(tenant.asked_for_token) == 1


def test_a_busy_token_endpoint_is_asked_again():
    tenant = Tenant(GOOD, tokens=[answer(503, {}), httpx.ConnectError("refused"), granted()])
    assert fetched(tenant).end.complete
    assert len(tenant.asked_for_token) == 3


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param({"credentials": None, "missing": ("PINGONE_CLIENT_ID", "PINGONE_CLIENT_SECRET")},
                     "Not set: PINGONE_CLIENT_ID, PINGONE_CLIENT_SECRET", id="credentials"),
        pytest.param({"api_url": None, "missing": ("a region",)}, "Not set: a region", id="address"),
        pytest.param({"auth_url": None}, "Not set: credentials", id="address of the token endpoint"),
    ],
)  # fmt: skip
def test_an_environment_that_lacks_something_is_not_asked(changes: dict[str, Any], named: str):
    tenant = Tenant(GOOD)
    failure = fetched(tenant, asked=[environment(**changes)]).failure
    assert failure.code == "credentials.missing"
    assert '"prod"' in failure.reason
    assert named in failure.reason
    assert (tenant.asked, tenant.asked_for_token) == ([], [])


def test_an_environment_without_an_identifier_is_not_asked():
    nameless = environment(id=None, missing=("PINGONE_ENVIRONMENT_ID",))
    tenant = Tenant(GOOD)
    failure = fetched(tenant, query(asked=nameless), asked=[nameless]).failure
    assert failure.code == "credentials.missing"
    assert tenant.asked_for_token == []


# --- renewal --------------------------------------------------------------------------------------------


def test_one_token_serves_every_query_of_an_environment():
    tenant = Tenant(GOOD)
    found = fetched(tenant, *(query(id=f"q{number}") for number in range(20)))
    assert all(end.complete for end in found.ends)
    assert set(sent_with(tenant)) == {TOKEN}
    assert len(tenant.asked_for_token) == 1


def test_each_environment_has_a_token_of_its_own():
    """And none is sent to another environment."""
    stage = environment("stage", api_url="https://api.pingone.eu/v1", auth_url="https://auth.pingone.eu")

    def for_this_region(request: httpx.Request) -> httpx.Response:
        return granted(f"for-{request.url.host.removeprefix('auth.')}")

    tenant = Tenant(GOOD, tokens=[for_this_region])
    found = fetched(tenant, query(), query(asked=stage), asked=[stage])
    assert all(end.complete for end in found.ends)
    assert {
        request.url.host: token for request, token in zip(tenant.asked, sent_with(tenant), strict=True)
    } == {
        "api.pingone.com": "for-pingone.com",
        "api.pingone.eu": "for-pingone.eu",
    }


def walk(pages: int, clock: Clock, minutes: int) -> list[Answer]:
    """Return the answers of a walk during which so many minutes pass with every page."""

    def turned(number: int) -> Answer:
        def turn(_: httpx.Request) -> httpx.Response:
            clock.now += timedelta(minutes=minutes)
            return ok(page(events(number), next=link(str(number)) if number < pages else None))

        return turn

    return [turned(number) for number in range(1, pages + 1)]


def test_a_token_is_renewed_a_minute_before_it_expires():
    clock = Clock()
    tenant = Tenant(*walk(5, clock, 20), tokens=[granted("first"), granted("second")], clock=clock)
    assert fetched(tenant, kinds=SETTLED).end.complete
    # Good for 59 minutes: at 0, 20 and 40 minutes the first, from 60 on the second.
    assert sent_with(tenant) == ["first", "first", "first", "second", "second"]


def test_a_token_of_half_a_minute_is_good_for_some_of_it():
    """Taking a minute off would leave nothing, and every request would need a token of its own."""
    clock = Clock()
    tokens = [granted("first", expires_in=30), granted("second", expires_in=30)]
    tenant = Tenant(*walk(1, clock, 0), tokens=tokens, clock=clock)
    found = fetched(tenant, *(query(id=f"q{number}") for number in range(5)))
    assert all(end.complete for end in found.ends)
    assert len(tenant.asked_for_token) == 1


@pytest.mark.parametrize("told", [None, "3600", 0, -1, True, 10**30, 1.5])
def test_a_token_that_does_not_say_how_long_it_is_good_is_taken_for_an_hour(told: Any):
    clock = Clock()
    tokens = [granted("first", expires_in=told), granted("second")]
    tenant = Tenant(*walk(5, clock, 20), tokens=tokens, clock=clock)
    assert fetched(tenant, kinds=SETTLED).end.complete
    assert sent_with(tenant) == ["first", "first", "first", "second", "second"]


def test_a_token_that_expires_under_many_queries_is_renewed_once():
    clock = Clock()
    all_here = asyncio.Barrier(8)

    async def expire(_: httpx.Request) -> httpx.Response:
        await all_here.wait()
        clock.now = NOW + timedelta(hours=2)
        return ok(page(events(1), next=link("b")))

    tenant = Tenant(
        *[expire] * 8, ok(page(events(2))), tokens=[granted("first"), granted("second")], clock=clock
    )
    found = fetched(tenant, *(query(id=f"q{number}") for number in range(8)), kinds=SETTLED)
    assert all(end.complete for end in found.ends)
    assert sent_with(tenant) == ["first"] * 8 + ["second"] * 8
    assert len(tenant.asked_for_token) == 2


def test_a_refused_token_is_replaced_and_the_same_request_sent_once_more():
    denied = answer(401, {"code": "ACCESS_FAILED", "message": "Expired."})
    tenant = Tenant(
        ok(page(events(1), next=link("b"))),
        denied,
        ok(page(events(2))),
        tokens=[granted("old"), granted("new")],
    )
    found = fetched(tenant)
    assert found.ids == ["event-1", "event-2"]
    assert sent_with(tenant) == ["old", "old", "new"]
    assert tenant.urls[1] == tenant.urls[2] == link("b")


def test_a_request_that_is_refused_with_a_new_token_too_is_refused():
    denied = answer(401, {"code": "ACCESS_FAILED", "message": "No role."})
    tenant = Tenant(denied, tokens=[granted("old"), granted("new")])
    failure = fetched(tenant).failure
    assert failure.code == "credentials.refused"
    assert "ACCESS_FAILED: No role." in failure.reason
    assert sent_with(tenant) == ["old", "new"]


def test_a_token_that_many_queries_see_refused_is_replaced_once():
    def by_token(request: httpx.Request) -> httpx.Response:
        return GOOD if request.headers["authorization"] == "Bearer new" else answer(401, {})

    tenant = Tenant(by_token, tokens=[granted("old"), granted("new")])
    found = fetched(tenant, *(query(id=f"q{number}") for number in range(8)))
    assert all(end.complete for end in found.ends)
    assert len(tenant.asked_for_token) == 2


def test_tokens_that_expire_early_do_not_interrupt_a_walk():
    with simulated("token-expires=3", "small-pages=20") as tenant:
        found = tenant.fetched()
        assert found.end.complete, found.end
        assert found.end.pages > 6
        assert len(tenant.tokens) == -(-found.end.pages // 3)


# --- canaries -------------------------------------------------------------------------------------------

BASIC = b64encode(f"the-client:{quote_plus(CLIENT_SECRET)}".encode()).decode()
CANARIES = ("canary", BASIC[:16])
"""Every secret begins with the first of them, so that a part of one is found too; or with the second."""


def echo(status: int) -> Answer:
    """Return an answer that repeats the secret and everything that it was sent, in body and headers."""

    def repeat(request: httpx.Request) -> httpx.Response:
        said = f"{request.headers.get('authorization')} {request.content.decode()} {CLIENT_SECRET}"
        long = "x" * 1_990
        return answer(
            status,
            {
                "code": said,
                "message": f"{long} {said}",
                "details": [{"code": said, "target": said, "message": said, "innerError": {said: [said]}}],
                "id": said,
                "error": said,
                "error_description": said,
            },
            Correlation_Id=f"{'x' * 180} {said}",
            Api_Deprecation_Message=said,
            Location=f"https://elsewhere.example/{TOKEN}",
        )

    return repeat


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "client_secret_jwt"])
@pytest.mark.parametrize(
    ("answers", "tokens"),
    [
        *[
            pytest.param([echo(status)], [granted()], id=str(status))
            for status in (302, 400, 401, 403, 404, 418)
        ],
        *[pytest.param([echo(status)], [granted()], id=str(status)) for status in (429, 500)],
        *[pytest.param([GOOD], [echo(status)], id=f"token {status}") for status in (302, 400, 401, 404, 503)],
        pytest.param([GOOD], [granted(f"{TOKEN}\r\n")], id="a token that can not be sent"),
        pytest.param([httpx.LocalProtocolError(f"Illegal header value {TOKEN!r}")], [granted()], id="broken"),
        pytest.param([RuntimeError(f"{CLIENT_SECRET} {TOKEN}")], [granted()], id="a bug"),
        pytest.param([ok(page(events(1), next=f"https://x.example/{TOKEN}"))], [granted()], id="a link"),
        pytest.param([echo(200)], [granted()], id="drift"),
    ],
)
def test_a_server_that_repeats_secrets_gets_them_into_no_end_and_no_log(
    answers: list[Answer],
    tokens: list[Answer],
    method: AuthMethod,
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(0)
    logging.getLogger("httpx").setLevel(logging.DEBUG)
    tenant = Tenant(*answers, tokens=tokens)
    found = fetched(tenant, asked=[environment(credentials=credentials(method=method))])
    assert not found.end.complete
    everything = f"{found.end!r}\n{caplog.text}"
    for canary in CANARIES:
        assert canary not in everything
    assert len(found.failure.reason) <= 2_000


def test_a_secret_of_three_letters_is_not_hunted_through_every_word():
    tenant = Tenant(answer(400, {"message": "a bad filter"}))
    asked = environment(credentials=credentials("a"))
    assert "a bad filter" in fetched(tenant, asked=[asked]).failure.reason


def test_nothing_is_logged_of_secrets_over_the_network(caplog: pytest.LogCaptureFixture):
    caplog.set_level(0)
    with simulated("401 x1") as tenant:
        found = tenant.fetched()
        assert found.end.complete
    assert CLIENT_SECRET not in caplog.text
    assert "Bearer" not in caplog.text
    assert "Basic" not in caplog.text


def test_the_secret_goes_to_the_token_endpoint_and_the_token_to_the_api_alone():
    tenant = Tenant(GOOD)
    assert fetched(tenant).end.complete
    for request in tenant.asked:
        whole = f"{request.url} {dict(request.headers)} {request.content!r}"
        assert str(request.url).startswith(API)
        assert not any(secret in whole for secret in (CLIENT_SECRET, quote_plus(CLIENT_SECRET), BASIC))
    for request in tenant.asked_for_token:
        assert TOKEN not in f"{request.url} {dict(request.headers)} {request.content!r}"

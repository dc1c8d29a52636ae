"""The token endpoint of the simulator: OAuth as RFC 6749 and RFC 7523 say, and one way in."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from datetime import timedelta
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from auditor.simulator import AuthMethod, Settings, create_app, serve
from tests.test_simulator import CATALOGUE, NOW, RANGE, SPEC, TLS, WORLD, Client, read_yaml, simulated

SECRET = "simulator-secret"
CLIENT = "simulator-client"
GRANT = {"grant_type": "client_credentials"}
POSTED = {**GRANT, "client_id": CLIENT, "client_secret": SECRET}
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def ask(client: Client, form: Any = GRANT, **options: Any) -> httpx.Response:
    url = f"{client.running.auth_url}/{client.environment_id}/as/token"
    return client.http.post(url, data=form, **options)


def test_a_token_is_a_bearer_jwt_that_lasts_an_hour():
    with simulated(authorized=False) as client:
        answer = ask(client, auth=(CLIENT, SECRET))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"access_token", "token_type", "expires_in"}
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    payload = body["access_token"].split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["exp"] - claims["iat"] == 3600
    assert claims["env"] == WORLD.environment_id


def test_a_token_expires_by_the_clock_and_a_new_one_is_good_again():
    now = [NOW]
    app = create_app(WORLD, CATALOGUE, Settings(token_lifetime_s=60), lambda: now[0])
    with serve(app) as running, httpx.Client(verify=TLS) as http:
        client = Client(running, http, WORLD.environment_id)
        client.authorize()
        now[0] = NOW + timedelta(seconds=59)
        assert client.get("activities", filter=RANGE).status_code == 200
        now[0] = NOW + timedelta(seconds=60)
        assert client.get("activities", filter=RANGE).status_code == 401
        client.authorize()
        assert client.get("activities", filter=RANGE).status_code == 200


def test_tokens_differ_and_the_older_one_stays_good():
    with simulated() as client:
        first = dict(client.headers)
        client.authorize()
        assert client.headers != first
        client.headers = first
        assert client.get("activities", filter=RANGE).status_code == 200


@pytest.mark.parametrize("case", read_yaml(SPEC / "tokens.yaml"), ids=lambda case: case["because"])
def test_refuses_with_an_oauth_error(case: dict[str, Any]):
    with simulated(Settings(auth_method=case.get("set", "client_secret_basic")), authorized=False) as client:
        basic = case.get("basic")
        answer = ask(
            client,
            case.get("form", GRANT),
            auth=tuple(basic) if basic else None,
            headers=case.get("headers", {}),
        )
    sent = "authorization" in answer.request.headers
    assert answer.status_code == case["status"]
    assert answer.json()["error"] == case["error"]
    assert "code" not in answer.json(), "an OAuth error, not one of PingOne's"
    assert ("www-authenticate" in answer.headers) == (case["status"] == 401 and sent)


def test_a_parameter_twice_is_an_invalid_request():
    with simulated(authorized=False) as client:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        url = f"{client.running.auth_url}/{client.environment_id}/as/token"
        body = "grant_type=client_credentials&grant_type=client_credentials"
        answer = client.http.post(url, content=body, headers=headers, auth=(CLIENT, SECRET))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_only_the_environment_of_the_worker_application_gives_tokens():
    with simulated(authorized=False) as client:
        client.environment_id = WORLD.environments[1].id
        answer = ask(client, auth=(CLIENT, SECRET))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_a_token_reaches_the_other_environments():
    with simulated() as client:
        client.environment_id = WORLD.environments[1].id
        assert client.get("activities", filter=RANGE).status_code == 200


def test_a_token_is_asked_for_by_post_only():
    with simulated(authorized=False) as client:
        url = f"{client.running.auth_url}/{client.environment_id}/as/token"
        assert client.http.get(url).status_code == 405


def test_a_secret_in_the_query_is_no_secret():
    with simulated(Settings(auth_method="client_secret_post"), authorized=False) as client:
        answer = ask(client, GRANT, params={"client_id": CLIENT, "client_secret": SECRET})
    assert answer.json()["error"] == "invalid_client"


def test_credentials_of_the_header_are_form_encoded():
    """RFC 6749, section 2.3.1: so a colon in an identifier is no separator."""
    with simulated(Settings(client_id="a:b", client_secret="c d%"), authorized=False) as client:
        assert ask(client, auth=("a%3Ab", "c+d%25")).status_code == 200
        assert ask(client, auth=("a:b", "c d%")).status_code == 401


def test_a_form_with_the_secret_is_good_where_the_application_is_set_so():
    with simulated(Settings(auth_method="client_secret_post"), authorized=False) as client:
        assert ask(client, POSTED).status_code == 200


# --- assertions -----------------------------------------------------------------------------------------

RSA = RSAKey.generate_key(2048)
OTHER_RSA = RSAKey.generate_key(2048)
OCT = OctKey.import_key(SECRET)
PUBLIC = {name: str(value) for name, value in RSA.as_dict(private=False).items()}


def assertion(key: Any, algorithm: str, audience: Any, **changes: Any) -> dict[str, str]:
    claims = {"iss": CLIENT, "sub": CLIENT, "aud": audience, "exp": int(NOW.timestamp()) + 60, **changes}
    token = jwt.encode({"alg": algorithm}, claims, key, algorithms=[algorithm])
    return {**GRANT, "client_assertion_type": ASSERTION_TYPE, "client_assertion": token}


def settings_for(method: AuthMethod) -> Settings:
    return Settings(auth_method=method, client_secret=SECRET, public_key=PUBLIC)


def audience(client: Client) -> str:
    return f"{client.running.auth_url}/{client.environment_id}/as/token"


@pytest.mark.parametrize(
    ("method", "key", "algorithm"),
    [
        ("client_secret_jwt", OCT, "HS256"),
        ("client_secret_jwt", OCT, "HS384"),
        ("client_secret_jwt", OCT, "HS512"),
        ("private_key_jwt", RSA, "RS256"),
        ("private_key_jwt", RSA, "RS384"),
        ("private_key_jwt", RSA, "RS512"),
    ],
)
def test_an_assertion_is_good_with_every_documented_algorithm(method: AuthMethod, key: Any, algorithm: str):
    with simulated(settings_for(method), authorized=False) as client:
        assert ask(client, assertion(key, algorithm, audience(client))).status_code == 200
        issuer = [audience(client).removesuffix("/token"), "https://elsewhere.example"]
        assert ask(client, assertion(key, algorithm, issuer)).status_code == 200


@pytest.mark.parametrize("method", ["client_secret_jwt", "private_key_jwt"])
@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://elsewhere.example"},
        {"exp": int(NOW.timestamp()) - 1},
        {"iss": "another"},
        {"sub": "another"},
        {"exp": "never"},
    ],
    ids=str,
)
def test_an_assertion_with_a_wrong_claim_is_refused(method: AuthMethod, changes: dict[str, Any]):
    key, algorithm = (OCT, "HS256") if method == "client_secret_jwt" else (RSA, "RS256")
    with simulated(settings_for(method), authorized=False) as client:
        answer = ask(client, assertion(key, algorithm, audience(client), **changes))
    assert answer.json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    ("method", "key", "algorithm"),
    [
        ("private_key_jwt", OTHER_RSA, "RS256"),
        ("private_key_jwt", RSA, "PS256"),
        ("private_key_jwt", OCT, "HS256"),
        ("client_secret_jwt", OctKey.import_key("another secret"), "HS256"),
        ("client_secret_jwt", RSA, "RS256"),
        ("client_secret_basic", OCT, "HS256"),
    ],
)
def test_an_assertion_with_another_signature_is_refused(method: AuthMethod, key: Any, algorithm: str):
    with simulated(settings_for(method), authorized=False) as client:
        answer = ask(client, assertion(key, algorithm, audience(client)))
    assert answer.json()["error"] == "invalid_client"


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "e30.e30.e30", "eyJhbGciOjF9.e30.", "é.é.é"])
def test_an_assertion_that_is_none_is_refused(text: str):
    with simulated(settings_for("client_secret_jwt"), authorized=False) as client:
        form = {**GRANT, "client_assertion_type": ASSERTION_TYPE, "client_assertion": text}
        assert ask(client, form).json()["error"] == "invalid_client"


def test_an_assertion_of_another_type_is_refused():
    with simulated(settings_for("client_secret_jwt"), authorized=False) as client:
        form = {**assertion(OCT, "HS256", audience(client)), "client_assertion_type": "saml"}
        assert ask(client, form).json()["error"] == "invalid_client"


def test_an_assertion_is_not_recorded():
    with simulated(settings_for("client_secret_jwt"), authorized=False) as client:
        form = assertion(OCT, "HS256", audience(client))
        ask(client, form)
        (request,) = client.running.requests
    assert form["client_assertion"] not in request.body

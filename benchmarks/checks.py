"""
Checks made by a fixed seed, as people write them: about one type of event, a few, a family, or any.

Of two hundred about 70 % are about one action type, 15 % about two to four, 5 % about all that begin alike, and
10 % about whatever failed; each has one to three conditions more. Policies are about exceptions, so none is broken
by more than two of the first thousand events. The first is the one of which the corpus knows
how often it is broken. Needs the standard library only: other engines read the same checks in environments of
their own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, Literal

from benchmarks.corpus import Corpus

Kind = Literal["client not in", "status", "resource", "population", "tag", "address", "name"]


@dataclass(frozen=True, slots=True)
class Condition:
    """
    What must hold of an event beside its type.

    *values* are clients that did not do it, or one value: the status, the type or the population of any
    resource, a tag, the beginning of the address, the end of the user's name.
    """

    kind: Kind
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what breaks it of the events of some types, of a family of them, or (neither) of what failed."""

    types: tuple[str, ...]
    prefix: str
    conditions: tuple[Condition, ...]


def make(number: int, corpus: Corpus) -> list[Check]:
    """Return so many checks about the events of a corpus; fewer are the first of more."""
    with corpus.lines.open("rb") as lines:
        events = [json.loads(line) for line in islice(lines, 1_000)]
    admins, populations = corpus.manifest["admin_client_ids"], corpus.manifest["population_ids"]
    clients = sorted({event["actors"]["client"]["id"] for event in events})
    planted = Check(("APPLICATION.DELETED",), "", (Condition("client not in", tuple(admins)),))
    random_ = random.Random(1)
    drawn = (_check(random_, clients, populations) for _ in count())
    rare = (check for check in drawn if sum(breaks(event, check) for event in events) <= 2)
    return [planted, *islice(rare, number - 1)]


def breaks(event: dict[str, Any], check: Check) -> bool:
    """Tell in plain Python whether an event breaks a check."""
    action = event["action"]["type"]
    if check.types or check.prefix:
        about = action in check.types or bool(check.prefix and action.startswith(check.prefix))
    else:
        about = event["result"]["status"] == "FAILED"
    return about and all(_holds(event, condition) for condition in check.conditions)


def _holds(event: dict[str, Any], condition: Condition) -> bool:
    value = condition.values[0]
    resources = event.get("resources", ())
    match condition.kind:
        case "client not in":
            return event["actors"]["client"]["id"] not in condition.values
        case "status":
            return bool(event["result"]["status"] == value)
        case "resource":
            return any(resource["type"] == value for resource in resources)
        case "population":
            return any(resource.get("population", {}).get("id") == value for resource in resources)
        case "tag":
            return value in event.get("tags", ())
        case "address":
            return bool(event.get("source", {}).get("ipAddress", "").startswith(value))
        case "name":
            return bool(event["actors"].get("user", {}).get("name", "").endswith(value))


def _check(random_: random.Random, clients: Sequence[str], populations: Sequence[str]) -> Check:
    types: tuple[str, ...] = ()
    share, prefix = random_.random(), ""
    if share < 0.70:
        types = (random_.choice(TYPES),)
    elif share < 0.85:
        types = tuple(random_.sample(TYPES, random_.randint(2, 4)))
    elif share < 0.90:
        prefix = random_.choice(
            ("USER.", "APPLICATION.", "GROUP_MEMBERSHIP.", "PASSWORD.", "DEVICE.", "GATEWAY.")
        )
    choices: dict[Kind, tuple[str, ...]] = {
        "client not in": tuple(random_.sample(list(clients), random_.randint(2, 8))),
        "status": (random_.choice(("FAILED", "SUCCESS")),),
        "resource": (random_.choice(("USER", "APPLICATION", "FLOW", "SESSION", "DEVICE", "POPULATION")),),
        "population": (random_.choice(list(populations)),),
        "tag": ("adminIdentityEvent",),
        "address": (f"10.20.{random_.randint(1, 25)}",),
        "name": (f"{random_.randint(0, 9)}@example.com",),
    }
    kinds = random_.sample(sorted(choices), random_.randint(1, 3))
    return Check(types, prefix, tuple(Condition(kind, choices[kind]) for kind in kinds))


_TYPES = """
    USER.ACCESS_ALLOWED AUTHENTICATION.COMPLETED PASSWORD.CHECK_SUCCEEDED FLOW.CREATED FLOW.UPDATED FLOW.COMPLETED
    OTP.CHECK_SUCCEEDED SESSION.CREATED PASSWORD.CHECK_FAILED TOKEN.CREATED DEVICE.AUTHENTICATION_SUCCEEDED
    OTP.CHECK_INVALID SESSION.DELETED USER.ACCESS_DENIED USER.UPDATED NOTIFICATION.SENT RISK_EVALUATION.CREATED
    DEVICE.AUTHENTICATION_FAILED NOTIFICATION.REJECTED USER.CREATED DEVICE.CREATED PASSWORD.RECOVERY PASSWORD.RESET
    DEVICE.ACTIVATED USER.LOCKED USER.UNLOCKED GROUP_MEMBERSHIP.CREATED DEVICE.DELETED USER.DELETED USER.ENABLED
    USER.DISABLED PASSWORD.SET GROUP_MEMBERSHIP.DELETED CONSENT.CREATED USER.MFA_DISABLED USER.MFA_ENABLED
    ROLE_ASSIGNMENT.CREATED ROLE_ASSIGNMENT.DELETED APPLICATION.UPDATED APPLICATION.CREATED APPLICATION.DELETED
    SECRET.READ SECRET.UPDATED GRANT.CREATED GRANT.DELETED POPULATION.CREATED POPULATION.UPDATED POPULATION.DELETED
    SIGN_ON_POLICY.UPDATED SIGN_ON_POLICY.DELETED PASSWORD_POLICY.UPDATED MFA_SETTINGS.UPDATED
    RISK_POLICY_SET.UPDATED GATEWAY.CREATED GATEWAY.DELETED CERTIFICATE.CREATED KEY.DELETED
    IDENTITY_PROVIDER.UPDATED ENVIRONMENT.UPDATED ENVIRONMENT.DELETED
"""

TYPES = tuple(_TYPES.split())
"""The action types of the corpus."""


# As a policy of this program


def project(checks: Sequence[Check], folder: Path) -> None:
    """Write a project with a policy of these checks into a folder."""
    (folder / "policies").mkdir(parents=True, exist_ok=True)
    documents = {
        "auditor.yaml": {
            "version": 1,
            "policies": ["policies"],
            "environments": {"prod": {"id": "${env.PINGONE_ENVIRONMENT_ID}", "region": "NA"}},
            "accept_values": {"action.type": list(TYPES)},
        },
        "policies/checks.yaml": {
            "version": 1,
            "pack": {"id": "benchmark", "title": "Checks of the benchmark"},
            "checks": {f"check-{number:03}": _policy(check) for number, check in enumerate(checks)},
        },
    }
    for name, document in documents.items():
        # JSON is YAML.
        (folder / name).write_text(json.dumps(document, indent=1), encoding="utf-8")


def _policy(check: Check) -> dict[str, Any]:
    held = " && ".join(jmespath_condition(condition) for condition in check.conditions)
    return {
        "title": f"Nothing of {', '.join(check.types) or check.prefix or 'what failed'} is as it should not be",
        "query": {
            "resource": "activities",
            "window": {"from": "2026-05-01T00:00:00Z", "to": "2026-07-01T00:00:00Z"},
            "where": _scim(check),
        },
        "expect": {"every": f"!({held})", "on_missing": "pass"},
    }


def _scim(check: Check) -> str:
    if len(check.types) == 1:
        return f'action.type eq "{check.types[0]}"'
    if check.types:
        return f"action.type in {json.dumps(check.types)}"
    return f'action.type sw "{check.prefix}"' if check.prefix else 'result.status eq "FAILED"'


# As JMESPath


def jmespath(check: Check) -> str:
    """Return what is true of the events that break a check."""
    if len(check.types) == 1:
        about = f"action.type == '{check.types[0]}'"
    elif check.types:
        about = f"contains(`{json.dumps(check.types)}`, action.type)"
    elif check.prefix:
        about = f"starts_with(action.type, '{check.prefix}')"
    else:
        about = "result.status == 'FAILED'"
    return " && ".join((about, *(jmespath_condition(condition) for condition in check.conditions)))


def jmespath_condition(condition: Condition) -> str:
    """Return a condition as JMESPath; what can be absent is guarded, since plain JMESPath would raise."""
    value = condition.values[0]
    match condition.kind:
        case "client not in":
            return f"!contains(`{json.dumps(condition.values)}`, actors.client.id)"
        case "status":
            return f"result.status == '{value}'"
        case "resource":
            return f"contains(not_null(resources[].type, `[]`), '{value}')"
        case "population":
            return f"contains(not_null(resources[].population.id, `[]`), '{value}')"
        case "tag":
            return f"contains(not_null(tags, `[]`), '{value}')"
        case "address":
            return f"starts_with(not_null(source.ipAddress, ''), '{value}')"
        case "name":
            return f"ends_with(not_null(actors.user.name, ''), '{value}')"


# On their way to other processes


def dump(checks: Sequence[Check], path: Path) -> None:
    """Write checks to a file."""
    path.write_text(json.dumps([asdict(check) for check in checks]), encoding="utf-8")


def load(path: Path) -> list[Check]:
    """Read what `dump` wrote."""
    return [
        Check(
            types=tuple(each["types"]),
            prefix=each["prefix"],
            conditions=tuple(Condition(c["kind"], tuple(c["values"])) for c in each["conditions"]),
        )
        for each in json.loads(path.read_text("utf-8"))
    ]

"""What a simulated organization holds above its environments: the environments themselves, and its licences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from auditor.model.instant import Duration
from auditor.simulator import script
from auditor.simulator.cast import RECORDS_URL, digest, uuid
from auditor.simulator.refusal import invalid_value, required_value
from auditor.simulator.rhythm import to_ms

if TYPE_CHECKING:
    from auditor.simulator.world import Environment

_LICENSES: Final = "/organizations/{organization_id}/licenses"
_COUNTS: Final = f"{_LICENSES}/{{each}}/metrics/activeIdentityCounts"
_ENVIRONMENTS: Final = "/environments"
_REGION: Final = "EU"
# Allowed values of `aggregatedBy` (Read Active Identity Counts by License).
_AGGREGATES: Final = {"calendarMonth": Duration(months=1), "licenseYear": Duration(months=12)}
_EXPIRES_IN: Final = timedelta(days=45)


class Organization:
    """
    An organization with one licence in force and one that has ended.

    The licence in force expires within sixty days, which an auditor should find. It began with the month in
    which the environments were created.
    """

    def __init__(
        self, organization_id: str, environments: Sequence[Environment], created: datetime, now: datetime
    ) -> None:
        self.id = organization_id
        self._environments = environments
        self._begins = created.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        self._now = now
        self.license_id = uuid(digest(organization_id, "license"))
        self._trial_id = uuid(digest(organization_id, "trial"))
        self._collections: Mapping[str, Callable[[], list[dict[str, Any]]]] = {
            _ENVIRONMENTS: self._all_environments,
            _LICENSES: self._licenses,
            "/roles": _roles,
        }

    def serves(self, path: str) -> bool:
        """Tell whether there is a collection at a path with names in braces."""
        return path == _COUNTS or path in self._collections

    def collection(
        self, path: str, each: str, parameters: Mapping[str, str]
    ) -> Sequence[Mapping[str, Any]] | None:
        """
        Return the records of a collection; None where there is none.

        Raises:
            Refusal: a parameter that decides what is counted is missing or wrong.
        """
        if path == _COUNTS:
            return self._counts(each, parameters)
        made = self._collections.get(path)
        return made() if made else None

    def _all_environments(self) -> list[dict[str, Any]]:
        return [
            {
                "_links": {"self": {"href": f"{RECORDS_URL}/environments/{environment.id}"}},
                "id": environment.id,
                "name": environment.name,
                "type": environment.type,
                "region": _REGION,
                "status": "ACTIVE",
                "organization": {"id": self.id},
                "license": {"id": self.license_id},
                "createdAt": _text(self._begins),
                "updatedAt": _text(self._begins),
            }
            for environment in self._environments
        ]

    def _licenses(self) -> list[dict[str, Any]]:
        users = sum(environment.identities(to_ms(self._now)) for environment in self._environments)
        expires = self._now + _EXPIRES_IN
        return [
            {
                **self._license(self.license_id, "Workforce", "ACTIVE", self._begins, expires),
                "assignedEnvironmentsCount": len(self._environments),
                "users": {
                    "max": users * 2,
                    "hardLimitMax": users * 3,
                    "annualActiveIncluded": users * 2,
                    "monthlyActiveIncluded": users,
                    "allowRoleAssignment": True,
                },
                "environments": {"max": 5, "allowProduction": True, "regions": [_REGION]},
            },
            {
                **self._license(
                    self._trial_id, "Trial", "TERMINATED", self._begins - timedelta(days=60), self._begins
                ),
                "assignedEnvironmentsCount": 0,
                "replacedByLicense": {"id": self.license_id},
                "users": {"max": 100, "hardLimitMax": 110},
                "environments": {"max": 1, "allowProduction": False, "regions": [_REGION]},
            },
        ]

    def _license(
        self, identifier: str, name: str, status: str, begins: datetime, expires: datetime
    ) -> dict[str, Any]:
        url = f"{RECORDS_URL}/organizations/{self.id}/licenses/{identifier}"
        return {
            "_links": {"self": {"href": url}},
            "id": identifier,
            "name": name,
            "package": name.upper(),
            "status": status,
            "organization": {"id": self.id},
            "beginsAt": _text(begins),
            "expiresAt": _text(expires),
        }

    def _counts(self, license_id: str, parameters: Mapping[str, str]) -> list[dict[str, Any]] | None:
        """Return active identities of all environments of a licence by month or year, from its first day to now."""
        if "aggregatedBy" not in parameters:
            raise required_value("aggregatedBy", "aggregatedBy is required.")
        length = _AGGREGATES.get(parameters["aggregatedBy"])
        if length is None:
            raise invalid_value("aggregatedBy", "aggregatedBy is not supported.", list(_AGGREGATES))
        if license_id not in {self.license_id, self._trial_id}:
            return None
        counts: list[dict[str, Any]] = []
        start = self._begins
        while license_id == self.license_id and start < self._now:
            end = length.after(start)
            value = sum(environment.active_identities(start, end) for environment in self._environments)
            last = min(end - timedelta(seconds=1), self._now)
            counts.append({"startDate": _text(start), "endDate": _text(last), "value": value})
            start = end
        return counts


def _text(instant: datetime) -> str:
    return instant.isoformat("T", "seconds").replace("+00:00", "Z")


def _roles() -> list[dict[str, Any]]:
    """Return the predefined roles."""
    return [
        {"id": identifier, "name": name, "applicableTo": ["ORGANIZATION", "ENVIRONMENT"]}
        for name, identifier in script.ROLES.items()
    ]

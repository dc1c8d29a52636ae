"""
What a simulated environment is set up with: people, applications, keys, policies, in the shape of real ones.

It holds whom and what the audit log names, and some weaknesses that an auditor should find: each builder says
which, and `Directory.weaknesses` tells them by name.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any, Final, TypeAlias

from auditor.simulator import script
from auditor.simulator.cast import RECORDS_URL, Cast, Named, digest, uuid
from auditor.simulator.rhythm import from_ms

Record: TypeAlias = dict[str, Any]

_DAY_MS: Final = 86_400_000
_COUNT: Final = 12
"""Things of each type that the log names (groups, keys, policies …)."""
_DORMANT_DAYS: Final = 90
_IN_USE_FROM_THE_START: Final = 0.4  # the tenant grows from two fifths of its size, as its log does

_WEAK_METHODS: Final = frozenset({"sms", "voice", "email"})
_METHODS: Final = ("sms", "voice", "email", "whatsApp", "mobile", "totp", "fido2")
_GRANT_TYPES: Final = {
    "WORKER": ["CLIENT_CREDENTIALS"],
    "WEB_APP": ["AUTHORIZATION_CODE", "REFRESH_TOKEN"],
    "NATIVE_APP": ["AUTHORIZATION_CODE"],
    "SINGLE_PAGE_APP": ["AUTHORIZATION_CODE"],
}
_PORTAL_TYPES: Final = ("WEB_APP", "NATIVE_APP", "SINGLE_PAGE_APP", "WEB_APP", "SINGLE_PAGE_APP")
_OWN_APPLICATIONS: Final = (
    ("PingOne Admin Console", "PING_ONE_ADMIN_CONSOLE"),
    ("PingOne Application Portal", "PING_ONE_PORTAL"),
    ("PingOne Self-Service - MyAccount", "PING_ONE_SELF_SERVICE"),
)
_SECURITY_EVENTS: Final = (
    "ROLE_ASSIGNMENT.CREATED",
    "APPLICATION.DELETED",
    "PASSWORD.CHECK_FAILED",
    "SECRET.READ",
    "USER.LOCKED",
)


class Directory:
    """
    The configuration and the people of one environment.

    Everything follows from the cast and the instants; `signed_on` tells when users were last active in the
    log, by their numbers. Nothing is made before it is asked for.
    """

    def __init__(
        self,
        cast: Cast,
        *,
        organization_id: str,
        created_ms: int,
        now_ms: int,
        signed_on: Callable[[], Mapping[int, int]],
        locked_user: int | None,
    ) -> None:
        self._cast = cast
        self._organization_id = organization_id
        self._created_ms = created_ms
        self._now_ms = now_ms
        self._signed_on = signed_on
        self._locked_user = locked_user
        self._made: dict[str, list[Record]] = {}
        self._known: dict[str, frozenset[str]] = {}
        self._builders: Mapping[str, Callable[[], list[Record]]] = {
            "/users": self._users,
            "/groups": self._groups,
            "/populations": self._populations,
            "/applications": self._applications,
            "/signOnPolicies": self._sign_on_policies,
            "/passwordPolicies": self._password_policies,
            "/deviceAuthenticationPolicies": self._device_authentication_policies,
            "/adminConfig": self._admin_config,
            "/keys": self._keys,
            "/certificates": self._certificates,
            "/gateways": self._gateways,
            "/identityProviders": self._identity_providers,
            "/subscriptions": self._subscriptions,
            "/alertChannels": self._alert_channels,
        }
        self._of_each: Mapping[str, tuple[str, Callable[[str], list[Record]]]] = {
            "/users/{each}/roleAssignments": ("/users", partial(self._assignments, "/users")),
            "/groups/{each}/roleAssignments": ("/groups", partial(self._assignments, "/groups")),
            "/gateways/{each}/roleAssignments": ("/gateways", partial(self._assignments, "/gateways")),
            "/applications/{each}/roleAssignments": (
                "/applications",
                partial(self._assignments, "/applications"),
            ),
            "/signOnPolicies/{each}/actions": ("/signOnPolicies", self._actions),
        }
        """Collections that each record of another has of its own: the other's path, and how they are made."""

    def serves(self, path: str) -> bool:
        """Tell whether there is a collection at a path below the environment."""
        return path in self._builders or path in self._of_each

    def collection(self, path: str, each: str = "") -> Sequence[Record] | None:
        """
        Return the records of a collection below the environment; None where there is none.

        `each` is what stands for `{each}` in the path: an identifier of another collection, or there is none.
        """
        if path in self._of_each:
            holders, make = self._of_each[path]
            return make(each) if each in self._identifiers(holders) else None
        if path not in self._made:
            if path not in self._builders:
                return None
            self._made[path] = self._builders[path]()
        return self._made[path]

    def _identifiers(self, path: str) -> frozenset[str]:
        if path not in self._known:
            self._known[path] = frozenset(record["id"] for record in self.collection(path) or ())
        return self._known[path]

    def identities(self, at_ms: int) -> int:
        """Return how many users there are at an instant."""
        # Users are created in the order of their numbers, administrators with the environment.
        users = bisect_right(range(self._cast.users), at_ms, key=self._user_created)
        return users + (self._administrators if at_ms >= self._created_ms else 0)

    @cached_property
    def weaknesses(self) -> dict[str, tuple[str, ...]]:
        """Identifiers of what an auditor should find, by the name of the weakness."""
        weak = {name: tuple(record["id"] for record in found) for name, found in self._weak().items()}
        weak["organization_admins"] = tuple(
            holder
            for holder, roles in self._roles.items()
            if any(role == script.ORGANIZATION_ADMIN for role, _ in roles)
        )
        return weak

    def _weak(self) -> dict[str, list[Record]]:
        now = from_ms(self._now_ms)
        dormant = _text(now - timedelta(days=_DORMANT_DAYS))
        soon = _text(now + timedelta(days=60))
        administrators = {administrator.id for administrator in self._cast.administrators}

        def those(path: str, weak: Callable[[Record], object]) -> list[Record]:
            return [record for record in self.collection(path) or () if weak(record)]

        return {
            "dormant_users": those(
                "/users", lambda u: u["enabled"] and u.get("lastSignOn", {"at": ""})["at"] < dormant
            ),
            "administrators_without_mfa": those(
                "/users", lambda u: u["id"] in administrators and not u["mfaEnabled"]
            ),
            "populations_without_policy": those("/populations", lambda p: "passwordPolicy" not in p),
            "weak_password_policies": those(
                "/passwordPolicies",
                lambda p: p["length"]["min"] < 12 or "lockout" not in p or "history" not in p,
            ),
            "implicit_applications": those("/applications", lambda a: "IMPLICIT" in a.get("grantTypes", ())),
            "insecure_redirects": those(
                "/applications",
                lambda a: any("*" in u or u[:5] == "http:" for u in a.get("redirectUris", ())),
            ),
            "shared_secrets": those(
                "/applications", lambda a: a.get("tokenEndpointAuthMethod", "").startswith("CLIENT_SECRET")
            ),
            "weak_methods": those(
                "/deviceAuthenticationPolicies", lambda p: any(p[m]["enabled"] for m in _WEAK_METHODS)
            ),
            "expiring_keys": those("/keys", lambda k: k["expiresAt"] < soon),
            "short_certificates": those("/certificates", lambda c: c["keyLength"] < 2048),
            "untrusted_gateways": those("/gateways", lambda g: g.get("validateTlsCertificates") is False),
            "unsigned_identity_providers": those(
                "/identityProviders", lambda p: p.get("authnRequestSigned") is False
            ),
            "blind_webhooks": those(
                "/subscriptions", lambda s: not s["enabled"] or not s["verifyTlsCertificates"]
            ),
            "deaf_alert_channels": those("/alertChannels", lambda c: c["includeAlertTypes"]),
        }

    # --- what records have in common -----------------------------------------------------------------------

    def _record(self, path: str, identifier: str, name: str | None, **fields: Any) -> Record:
        reference = {"id": self._cast.environment_id}
        url = f"{RECORDS_URL}/environments/{self._cast.environment_id}"
        named = {} if name is None else {"name": name}
        links = {"environment": {"href": url}, "self": {"href": f"{url}{path}/{identifier}"}}
        return {"_links": links, "id": identifier, "environment": reference, **named, **fields}

    def _dated(self, bits: str) -> Record:
        """Return instants of creation and change between the environment's own creation and now."""
        span = self._now_ms - self._created_ms
        created = self._created_ms + span * int(bits[40:44], 16) // 0x20000
        changed = created + (self._now_ms - created) * int(bits[44:48], 16) // 0x10000
        return {"createdAt": _instant(created), "updatedAt": _instant(changed)}

    def _bits(self, *key: object) -> str:
        return digest(self._cast.environment_id, *key)

    def _things(self, kind: str) -> list[Named]:
        return [self._cast.thing(kind, number) for number in range(_COUNT)]

    def _id(self, *key: object) -> str:
        return uuid(self._bits(*key))

    # --- people --------------------------------------------------------------------------------------------

    @property
    def _administrators(self) -> int:
        return len(self._cast.administrators)

    def _user_created(self, number: int) -> int:
        """Return when a user was created: those of low numbers, and administrators, with the environment."""
        share = (number + 1) / max(self._cast.users, 1)
        age = max(0.0, (share - _IN_USE_FROM_THE_START) / (1 - _IN_USE_FROM_THE_START))
        return self._created_ms + int((self._now_ms - self._created_ms) * min(age, 0.999))

    def _users(self) -> list[Record]:
        """Some users are idle, some disabled, one of the administrators has no second factor."""
        signed_on = self._signed_on()
        people = [
            *((number, administrator) for number, administrator in enumerate(self._cast.administrators)),
            *((self._administrators + number, self._cast.user(number)) for number in range(self._cast.users)),
        ]
        return [self._user(place - self._administrators, named, signed_on) for place, named in people]

    def _user(self, number: int, named: Named, signed_on: Mapping[int, int]) -> Record:
        """Return a user by number; those below 0 are administrators."""
        bits = self._bits("person", named.id)
        created = self._user_created(number)
        administers = number < 0
        locked = number == self._locked_user
        address = named.name if named.name.endswith("@example.com") else f"user{number}@example.com"
        given, _, family = named.name.removesuffix("@example.com").partition(".")
        user = self._record(
            "/users",
            named.id,
            None,
            username=named.name,
            email=address,
            enabled=administers or int(bits[4:6], 16) % 16 != 0,
            account={"canAuthenticate": not locked, "status": "LOCKED" if locked else "OK"},
            lifecycle={"status": "ACCOUNT_OK"},
            mfaEnabled=number != -self._administrators + 2 if administers else int(bits[6:8], 16) % 4 != 0,
            population={"id": named.population or self._cast.populations[0]},
            identityProvider={"type": "PING_ONE"},
            verifyStatus="NOT_INITIATED",
            createdAt=_instant(created),
            updatedAt=_instant(created + (self._now_ms - created) // 2),
        )
        user["name"] = {"given": given, "family": family.rstrip("0123456789")}
        last = self._now_ms - (number + 7) * 3_600_000 if administers else signed_on.get(number)
        if last is None and bits[8] != "0":
            last = max(created, self._now_ms - (31 + int(bits[9:12], 16) % 370) * _DAY_MS)
        if last is not None:
            user["lastSignOn"] = {
                "at": _instant(last),
                "remoteIp": f"198.51.100.{int(bits[12:14], 16) % 254 + 1}",
            }
        return user

    def _groups(self) -> list[Record]:
        """A third of the groups choose their members by a filter."""
        groups = []
        for number, thing in enumerate(self._things("GROUP")):
            counts = {"users": int(self._bits(thing.id)[:2], 16) % 40, "groups": 0}
            group = self._record("/groups", thing.id, thing.name, **self._dated(self._bits(thing.id)))
            group |= {"displayName": thing.name, "directMemberCounts": counts}
            if number % 3 == 2:
                group["userFilter"] = f'population.id eq "{self._cast.populations[number % 4]}"'
            groups.append(group)
        return groups

    def _populations(self) -> list[Record]:
        """The last population has no password policy of its own, the one before it the old one."""
        users = self.collection("/users") or ()
        populations = []
        for number, identifier in enumerate(self._cast.populations):
            count = sum(user["population"]["id"] == identifier for user in users)
            population = self._record(
                "/populations",
                identifier,
                script.THINGS[number],
                default=number == 0,
                userCount=count,
                **self._dated(self._bits(identifier)),
            )
            if number < len(self._cast.populations) - 1:
                policy = "Legacy" if number == len(self._cast.populations) - 2 else "Standard"
                population["passwordPolicy"] = {"id": self._id("password policy", policy)}
            populations.append(population)
        return populations

    # --- applications --------------------------------------------------------------------------------------

    def _applications(self) -> list[Record]:
        """
        The consoles of the product, the clients that the log names, and what it tells to be created.

        Of the portals one still has the implicit grant, one takes any address below a domain, one an address
        without TLS; workers have secrets, but for Terraform, which has a key.
        """
        workers = [*self._cast.admin_clients[1:], *(c for c in self._cast.other_clients if c.id != c.name)]
        applications = [
            self._application(Named(self._id(name), name), kind, tokenEndpointAuthMethod="NONE")
            for name, kind in _OWN_APPLICATIONS
        ]
        for number, worker in enumerate(workers):
            method = "CLIENT_SECRET_BASIC" if number else "PRIVATE_KEY_JWT"
            applications.append(self._application(worker, "WORKER", tokenEndpointAuthMethod=method))
        for number, (portal, kind) in enumerate(zip(self._cast.portals, _PORTAL_TYPES, strict=True)):
            confidential = kind == "WEB_APP"
            application = self._application(
                portal, kind, tokenEndpointAuthMethod="PRIVATE_KEY_JWT" if confidential else "NONE"
            )
            application |= {
                "pkceEnforcement": "S256_REQUIRED",
                "redirectUris": [f"https://portal{number}.example.com/callback"],
                "allowWildcardInRedirectUris": False,
            }
            applications.append(application)
        single_page, desk, japanese = applications[-3:]
        single_page["grantTypes"] = ["IMPLICIT"]
        single_page["pkceEnforcement"] = "OPTIONAL"
        desk["redirectUris"] = ["http://desk.example.com/callback"]
        japanese |= {"redirectUris": ["https://*.example.com/callback"], "allowWildcardInRedirectUris": True}
        applications += [
            self._application(thing, "WEB_APP", tokenEndpointAuthMethod="CLIENT_SECRET_BASIC")
            for thing in self._things("APPLICATION")
        ]
        return applications

    def _application(self, named: Named, kind: str, **fields: Any) -> Record:
        application = self._record(
            "/applications",
            named.id,
            named.name,
            enabled=True,
            type=kind,
            protocol="OPENID_CONNECT",
            pkceEnforcement="OPTIONAL",
            **self._dated(self._bits(named.id)),
            **fields,
        )
        if kind in _GRANT_TYPES:
            application["grantTypes"] = list(_GRANT_TYPES[kind])
        if kind in {"WORKER", "PING_ONE_ADMIN_CONSOLE"}:
            application["accessControl"] = {"role": {"type": "ADMIN_USERS_ONLY"}}
        return application

    @cached_property
    def _roles(self) -> Mapping[str, list[tuple[str, tuple[str, str]]]]:
        """
        Role and scope of every assignment, by who holds it.

        Two administrators and one worker hold Organization Admin; one user who administers nothing reads a
        whole population.
        """
        cast = self._cast
        environment_admin, identity_admin, developer, identity_reader, configuration_reader = (
            script.LESSER_ROLES
        )
        organization = ("ORGANIZATION", self._organization_id)
        environment = ("ENVIRONMENT", cast.environment_id)
        boss, deputy, *others = (administrator.id for administrator in cast.administrators)
        terraform, pipeline, sync, clean_up, review = (
            application["id"]
            for application in self.collection("/applications") or ()
            if application["type"] == "WORKER"
        )
        return {
            boss: [(script.ORGANIZATION_ADMIN, organization), (environment_admin, environment)],
            deputy: [(script.ORGANIZATION_ADMIN, organization)],
            others[0]: [(environment_admin, environment)],
            others[1]: [(identity_admin, environment)],
            others[2]: [(developer, environment)],
            others[3]: [(configuration_reader, environment)],
            cast.user(0).id: [(identity_reader, ("POPULATION", cast.populations[0]))],
            terraform: [(environment_admin, environment)],
            pipeline: [(developer, environment)],
            sync: [(script.ORGANIZATION_ADMIN, organization)],
            clean_up: [(identity_admin, environment)],
            review: [(identity_reader, environment), (configuration_reader, environment)],
            cast.thing("GROUP", 7).id: [(identity_reader, environment)],
            cast.thing("GATEWAY", 0).id: [(identity_admin, environment)],
        }

    def _assignments(self, path: str, holder: str) -> list[Record]:
        return [
            self._record(
                f"{path}/{holder}/roleAssignments",
                self._id("assignment", holder, role, scope),
                None,
                role={"id": role},
                scope={"type": scope[0], "id": scope[1]},
                readOnly=False,
            )
            for role, scope in self._roles.get(holder, ())
        ]

    # --- policies ------------------------------------------------------------------------------------------

    def _sign_on_policies(self) -> list[Record]:
        """The default policy asks for a password alone, as its name says."""
        return [
            self._record(
                "/signOnPolicies",
                thing.id,
                thing.name,
                default=thing.name == "Single_Factor",
                **self._dated(self._bits(thing.id)),
            )
            for thing in self._things("SIGN_ON_POLICY")
        ]

    def _actions(self, policy: str) -> list[Record]:
        """Return what a sign-on policy asks for: a password, and but for one policy a second factor."""
        single = policy == self._cast.thing("SIGN_ON_POLICY", script.THINGS.index("Single_Factor")).id
        types = ["LOGIN"] if single else ["LOGIN", "MULTI_FACTOR_AUTHENTICATION"]
        return [
            self._record(
                f"/signOnPolicies/{policy}/actions",
                self._id("action", policy, kind),
                None,
                type=kind,
                priority=number,
                signOnPolicy={"id": policy},
            )
            for number, kind in enumerate(types, start=1)
        ]

    def _password_policies(self) -> list[Record]:
        """One as the standards ask, one of old, and the default one, which locks nobody out."""
        common = {"excludesProfileData": True, "notSimilarToCurrent": True}
        rules: dict[str, Record] = {
            "Standard": {
                "excludesCommonlyUsed": True,
                "length": {"min": 12, "max": 255},
                "history": {"count": 6, "retentionDays": 365},
                "lockout": {"failureCount": 5, "durationSeconds": 1800},
                "minUniqueCharacters": 5,
            },
            "Legacy": {
                "excludesCommonlyUsed": False,
                "length": {"min": 8, "max": 64},
                "history": {"count": 1, "retentionDays": 30},
                "lockout": {"failureCount": 20, "durationSeconds": 300},
            },
            "Basic": {"excludesCommonlyUsed": True, "length": {"min": 8, "max": 255}},
        }
        return [
            self._record(
                "/passwordPolicies",
                self._id("password policy", name),
                name,
                default=name == "Basic",
                bypassPolicy=False,
                populationCount={"Standard": 2, "Legacy": 1}.get(name, 0),
                **common,
                **rule,
                **self._dated(self._bits(name)),
            )
            for name, rule in rules.items()
        ]

    def _device_authentication_policies(self) -> list[Record]:
        """One allows passkeys and codes of an application, the default one also text messages and e-mail."""
        policies = {
            "Passkeys": {"fido2", "totp", "mobile"},
            "Default MFA Policy": {"fido2", "totp", "sms", "email"},
        }
        return [
            self._record(
                "/deviceAuthenticationPolicies",
                self._id("device policy", name),
                name,
                default=name.startswith("Default"),
                forSignOnPolicy=False,
                updatedAt=self._dated(self._bits(name))["updatedAt"],
                **{method: {"enabled": method in methods, "pairingDisabled": False} for method in _METHODS},
            )
            for name, methods in policies.items()
        ]

    def _admin_config(self) -> list[Record]:
        """Administrators must have a second factor, and e-mail still counts as one."""
        return [
            {
                "environment": {"id": self._cast.environment_id},
                "authenticationMethod": "PINGONE",
                "mfaStatus": "ENFORCE",
                "allowedMethods": dict.fromkeys(("TOTP", "FIDO2", "EMAIL"), '{"enabled":true}'),
                "recovery": True,
                "hasFido2Capabilities": True,
                **self._dated(self._bits("admin config")),
            }
        ]

    # --- keys and connections ------------------------------------------------------------------------------

    def _keys(self) -> list[Record]:
        """One key expires within three weeks; the others have years."""
        return [
            self._pair(
                "/keys",
                thing,
                20 if number == 1 else 400 + 30 * number,
                2048 if number % 2 else 4096,
                default=number == 0,
            )
            for number, thing in enumerate(self._things("KEY"))
        ]

    def _certificates(self) -> list[Record]:
        """Of three certificates that were given, one is short and has expired."""
        names = ("Partner signing", "Directory", "Old partner")
        return [
            self._pair(
                "/certificates",
                Named(self._id("certificate", name), name),
                -10 if number == 2 else 300,
                1024 if number == 2 else 2048,
            )
            for number, name in enumerate(names)
        ]

    def _pair(self, path: str, named: Named, days: int, length: int, *, default: bool = False) -> Record:
        expires = self._now_ms + days * _DAY_MS
        return self._record(
            path,
            named.id,
            named.name,
            algorithm="RSA",
            keyLength=length,
            signatureAlgorithm="SHA256withRSA",
            usageType="SIGNING",
            default=default,
            status="EXPIRED" if days < 0 else "EXPIRING" if days < 30 else "VALID",
            startsAt=_instant(expires - 730 * _DAY_MS),
            expiresAt=_instant(expires),
            createdAt=_instant(expires - 730 * _DAY_MS),
            validityPeriod=730,
            issuerDN=f"CN={named.name}, O=Example, C=DE",
            subjectDN=f"CN={named.name}, O=Example, C=DE",
            serialNumber=int(self._bits(named.id)[:12], 16),
        )

    def _gateways(self) -> list[Record]:
        """Every other one leads to a directory; of these one trusts any certificate."""
        gateways = []
        for number, thing in enumerate(self._things("GATEWAY")):
            kind = "PING_FEDERATE" if number % 2 else "LDAP"
            gateway = self._record("/gateways", thing.id, thing.name, type=kind, enabled=number != 5)
            if kind == "LDAP":
                gateway |= {
                    "bindDN": "uid=pingone,dc=example,dc=com",
                    "bindPassword": "not-to-be-shown",
                    "vendor": "PingDirectory",
                    "connectionSecurity": "None" if number == 4 else "TLS",
                    "validateTlsCertificates": number != 4,
                    "serversHostAndPort": [f"ds{number}.example.com:636"],
                }
            gateways.append(gateway)
        return gateways

    def _identity_providers(self) -> list[Record]:
        """Every third one speaks OpenID Connect, the others SAML; of these one does not sign what it asks."""
        providers = []
        for number, thing in enumerate(self._things("IDENTITY_PROVIDER")):
            provider = self._record(
                "/identityProviders",
                thing.id,
                thing.name,
                enabled=number % 4 != 3,
                **self._dated(self._bits(thing.id)),
            )
            host = f"https://idp{number}.example.com"
            if number % 3:
                provider |= {
                    "type": "SAML",
                    "idpEntityId": host,
                    "spEntityId": f"{host}/sp",
                    "ssoBinding": "HTTP_POST",
                    "ssoEndpoint": f"{host}/sso",
                    "authnRequestSigned": number != 4,
                    "idpVerification": {"certificates": [{"id": self._id("certificate", "Partner signing")}]},
                }
            else:
                provider |= {
                    "type": "OPENID_CONNECT",
                    "issuer": host,
                    "clientId": f"pingone-{number}",
                    "clientSecret": "not-to-be-shown",
                    "scopes": ["openid", "email"],
                    "tokenEndpoint": f"{host}/token",
                    "tokenEndpointAuthMethod": "CLIENT_SECRET_BASIC",
                }
            providers.append(provider)
        return providers

    # --- who is told ---------------------------------------------------------------------------------------

    def _subscriptions(self) -> list[Record]:
        """One webhook is off, one does not look at certificates; the others send what matters, addresses too."""
        return [
            self._record(
                "/subscriptions",
                thing.id,
                thing.name,
                enabled=number != 3,
                format="ACTIVITY",
                httpEndpoint={
                    "url": f"https://siem{number}.example.com/pingone",
                    "headers": {"Authorization": "Bearer not-to-be-shown"},
                },
                verifyTlsCertificates=number != 5,
                filterOptions={
                    "includedActionTypes": list(_SECURITY_EVENTS[: len(_SECURITY_EVENTS) - number % 2]),
                    "includedTags": ["adminIdentityEvent"],
                    "ipAddressExposed": number % 2 == 0,
                    "userAgentExposed": number % 2 == 0,
                },
                **self._dated(self._bits(thing.id)),
            )
            for number, thing in enumerate(self._things("SUBSCRIPTION"))
        ]

    def _alert_channels(self) -> list[Record]:
        """One channel is for everything, one for a single type of alert."""
        only = {"everything": [], "certificates": ["CERTIFICATE_EXPIRED"]}
        return [
            self._record(
                "/alertChannels",
                self._id("alert channel", name),
                None,
                alertName=name,
                channelType="EMAIL",
                addresses=[f"{name}@example.com"],
                includeSeverities=[],
                includeAlertTypes=types,
                excludeAlertTypes=[],
            )
            for name, types in only.items()
        ]


def _text(instant: datetime) -> str:
    return instant.isoformat("T", "milliseconds").replace("+00:00", "Z")


def _instant(ms: int) -> str:
    return _text(from_ms(ms))

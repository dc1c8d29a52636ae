"""What happens in a simulated tenant, and what people and things in it are called: tables, no code."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Doer = Literal["visitor", "administrator", "nobody"]
"""Who an event names: a user at an application, an administrator or a worker, or no actor at all."""


class Deed(NamedTuple):
    """One kind of event: how often, by whom, on what, and the text of its result."""

    action: str
    weight: float
    doer: Doer
    resource: str
    text: str


# The weights are invented; their skew is that of sign-on logs: a few types make most of the volume, and what
# policies ask about is one event in hundreds or thousands. APPLICATION.DELETED and grants of Organization
# Admin are planted one by one and never drawn, so that their number is known.
DEEDS: Final = (
    Deed("USER.ACCESS_ALLOWED", 260, "visitor", "USER", "Passed role access control"),
    Deed("FLOW.CREATED", 120, "visitor", "FLOW", "Flow started with policy {name}"),
    Deed("PASSWORD.CHECK_SUCCEEDED", 110, "nobody", "USER", "Check Succeeded Password {id}"),
    Deed("FLOW.UPDATED", 90, "visitor", "FLOW", "Flow continued with policy {name}"),
    Deed("SESSION.CREATED", 80, "visitor", "USER", "Created Session for User {name}"),
    Deed("SESSION.UPDATED", 60, "visitor", "USER", "Updated Session for User {name}"),
    Deed("OTP.CHECK_SUCCESS", 40, "visitor", "USER", "One-time passcode accepted"),
    Deed("AUTHENTICATION.CREATED", 40, "visitor", "USER", "Created Authentication {id}"),
    Deed("AUTHENTICATION.UPDATED", 30, "visitor", "USER", "Updated Authentication {id}"),
    Deed("PASSWORD.CHECK_FAILED", 25, "nobody", "USER", "Check Failed Password {id}"),
    Deed("NOTIFICATION.CREATED", 20, "nobody", "USER", "Created Notification for User {name}"),
    Deed("RISK_EVALUATION.CREATED", 20, "visitor", "USER", "Evaluated Risk for User {name}"),
    Deed("SESSION.DELETED", 15, "visitor", "USER", "Deleted Session for User {name}"),
    Deed("FLOW.DELETED", 10, "visitor", "FLOW", "Flow completed with policy {name}"),
    Deed("OTP.CHECK_INVALID", 6, "visitor", "USER", "One-time passcode did not match"),
    Deed("USER.ACCESS_DENIED", 6, "visitor", "USER", "Did not pass role access control"),
    Deed("USER.UPDATED", 6, "administrator", "USER", "Updated enabled for User {name}"),
    Deed("USER.CREATED", 3, "administrator", "USER", "Created User {name}"),
    Deed("DEVICE.CREATED", 2, "visitor", "USER", "Created Device for User {name}"),
    Deed("DEVICE.ACTIVATED", 2, "visitor", "USER", "Activated Device of User {name}"),
    Deed("PASSWORD.RECOVERY", 2, "nobody", "USER", "Recovery Password {id}"),
    Deed("PASSWORD.RESET", 2, "administrator", "USER", "Reset Password {id}"),
    Deed("PASSWORD.SET", 2, "nobody", "USER", "Set Password {id}"),
    Deed("USER.LOCKED", 1, "nobody", "USER", "Locked User {name}"),
    Deed("USER.UNLOCKED", 0.8, "administrator", "USER", "Unlocked User {name}"),
    Deed("MEMBER_OF_GROUP.CREATED", 1, "administrator", "MEMBER_OF_GROUP", "Created Member Of Group {name}"),
    Deed("MEMBER_OF_GROUP.DELETED", 0.6, "administrator", "MEMBER_OF_GROUP", "Deleted Member Of Group {name}"),
    Deed("USER.DELETED", 0.6, "administrator", "USER", "Deleted User {name}"),
    Deed("USER.MOVED", 0.3, "administrator", "USER", "Moved User {name}"),
    Deed("SECRET.READ", 0.3, "administrator", "APPLICATION", "Client secret read for application '{id}'"),
    Deed("SECRET.UPDATED", 0.1, "administrator", "APPLICATION", "Client secret updated for application '{id}'"),
    Deed("APPLICATION.CREATED", 0.2, "administrator", "APPLICATION", "Created Application {name}"),
    Deed("APPLICATION.UPDATED", 0.4, "administrator", "APPLICATION", "Updated Application {name}"),
    Deed("GRANT.CREATED", 0.1, "administrator", "APPLICATION", "Created Grant for application '{id}'"),
    Deed("GROUP.CREATED", 0.2, "administrator", "GROUP", "Created Group {name}"),
    Deed("GROUP.UPDATED", 0.2, "administrator", "GROUP", "Updated Group {name}"),
    Deed("POPULATION.UPDATED", 0.1, "administrator", "POPULATION", "Updated Population {name}"),
    Deed("POLICY.UPDATED", 0.1, "administrator", "SIGN_ON_POLICY", "Updated Policy {name}"),
    Deed("ACTION.UPDATED", 0.1, "nobody", "SIGN_ON_POLICY", "Updated Action {id}"),
    Deed("ROLE_ASSIGNMENT.CREATED", 0.2, "administrator", "USER", "Created role assignment '{id}' {grant}"),
    Deed("ROLE_ASSIGNMENT.DELETED", 0.1, "administrator", "USER", "Deleted role assignment '{id}' {grant}"),
    Deed("KEY.READ", 0.1, "administrator", "KEY", "Read Key {name}"),
    Deed("MFA_SETTINGS.UPDATED", 0.05, "administrator", "MFA_SETTINGS", "MFA settings updated"),
    Deed("FIDO_POLICY.UPDATED", 0.05, "administrator", "FIDO Policy", 'FIDO Policy updated: "{name}"'),
    Deed(
        "NOTIFICATION_POLICY.UPDATED",
        0.05,
        "administrator",
        "Notification Policy",
        'Notification Policy updated: "{name}"',
    ),
    Deed("SUBSCRIPTION.UPDATED", 0.05, "administrator", "SUBSCRIPTION", "Updated Subscription {name}"),
    Deed("IDENTITY_PROVIDER.UPDATED", 0.05, "administrator", "IDENTITY_PROVIDER", "Updated Identity Provider {name}"),
    Deed("GATEWAY.CREATED", 0.03, "administrator", "GATEWAY", "Created Gateway {name}"),
    Deed("ENVIRONMENT.UPDATED", 0.03, "administrator", "ENVIRONMENT", "Updated Environment {name}"),
    Deed("PROVISIONING_SYNC.FAILURE", 0.2, "nobody", "PROVISIONING_IDENTITY_RULE", "Sync failed for rule {name}"),
)  # fmt: skip

ACTIVE: Final = frozenset({"SESSION.CREATED", "SESSION.UPDATED", "PASSWORD.CHECK_SUCCEEDED"})
"""Events that make an identity active (the `activities` link in the sample of Read Active Identity Counts)."""

SIGNED_ON: Final = "PASSWORD.CHECK_SUCCEEDED"
SIGN_ON_FAILED: Final = "PASSWORD.CHECK_FAILED"
PASSWORD_RESET: Final = "PASSWORD.RESET"  # noqa: S105  # the name of an event

# In captures the status says that the event was processed: a failed password check is a SUCCESS. The
# documentation also speaks of failures, so these two carry the other word.
UNSUCCESSFUL: Final = frozenset({"USER.ACCESS_DENIED", "PROVISIONING_SYNC.FAILURE"})

PATHS: Final = {
    "APPLICATION": "applications",
    "ENVIRONMENT": "",
    "FIDO Policy": "fido2Policies",
    "FLOW": "flows",
    "GATEWAY": "gateways",
    "GROUP": "groups",
    "IDENTITY_PROVIDER": "identityProviders",
    "KEY": "keys",
    "MEMBER_OF_GROUP": "groups",
    "MFA_SETTINGS": "mfaSettings",
    "Notification Policy": "notificationsPolicies",
    "POPULATION": "populations",
    "PROVISIONING_IDENTITY_RULE": "rules",
    "SIGN_ON_POLICY": "signOnPolicies",
    "SUBSCRIPTION": "subscriptions",
    "USER": "users",
}
"""Collection below an environment, by the type of resource."""

ORGANIZATION_ADMIN: Final = "1813bc13-8d13-4e88-a825-d40bfe82777b"
LESSER_ROLES: Final = (
    "29ddce68-cd7f-4b2a-b6fc-f7a19553b496",  # Environment Admin
    "0bd9c966-7664-4ac1-b059-0ff9293908e2",  # Identity Data Admin
    "b5057d0d-7281-47f6-9398-8a7e4cb71397",  # Client Application Developer
    "ce00e15f-f845-4df1-abf3-fdc4ff4e176c",  # Identity Data Read Only
    "7aba580c-5ec7-4b26-987d-85f462767455",  # Configuration Read Only
)
"""Identifiers of the built-in roles: they are the same in every tenant."""

ROLES: Final = {
    "Organization Admin": ORGANIZATION_ADMIN,
    **dict(
        zip(
            (
                "Environment Admin",
                "Identity Data Admin",
                "Client Application Developer",
                "Identity Data Read Only",
                "Configuration Read Only",
            ),
            LESSER_ROLES,
            strict=True,
        )
    ),
}
"""The built-in roles by name."""

ADMIN_CONSOLE: Final = "adminui"
ADMIN_WORKERS: Final = ("Terraform", "Release pipeline")
OTHER_WORD_CLIENTS: Final = ("p14c-myaccount", "common-services-test")
OTHER_WORKERS: Final = ("Legacy sync", "Nightly clean-up", "Zugriffsprüfung")
PORTALS: Final = ("Customer portal", "Mobile app", "Händlerportal", "Support desk", "従業員ポータル")

GIVEN_NAMES: Final = (
    "Ada", "Bjørn", "Chloé", "Dmitri", "Élodie", "Farah", "Günther", "Hana", "Íñigo", "Joana",
    "Kwame", "Łukasz", "Mei", "Nils", "Olga", "Priya", "Quentin", "Rosa", "Søren", "太郎",
)  # fmt: skip
FAMILY_NAMES: Final = (
    "Abe", "Brandt", "Çelik", "Dubois", "Eriksen", "Ferrari", "García", "Horvát", "Ivanova", "Jansen",
    "Kowalski", "Lindqvist", "Müller", "Nguyễn", "O'Brien", "Peña",
)  # fmt: skip

# One for every place where text from a tenant may end up: markup, terminals, spreadsheets, shells, paths,
# templates, and characters that XML can not hold.
HOSTILE_NAMES: Final = (
    '<script>alert("x")</script>',
    "]]><!-- & &#0; -->",
    '=HYPERLINK("https://elsewhere.example","open")',
    "+1+cmd|' /C calc'!A0",
    "\x1b[2J\x1b[31mred\x1b[0m\x07",
    "\x1b]8;;https://elsewhere.example\x1b\\link\x1b]8;;\x1b\\",
    "two\nlines\r\nand\ttab",
    "null\x00 backspace\x08 vertical\x0b \ufffe",
    "\u202egnp.exe \u200bzero\u2028line",
    "'; drop table users; --",
    "$(reboot) `reboot` | tee",
    "../../../etc/passwd",
    "{actors.client.id} ${var.license_cap} {{7*7}}",
    '"quoted" \\ and eq "x',
    "👩‍💻 Zoë ﷽ \U0001d518\U0001d52b\U0001d526",
    "::error file=x::injected",
)
THINGS: Final = (
    "Payroll", "Travel desk", "Warehouse", "Single_Factor", "Multi_Factor", "Partners", "Contractors",
    "Finance", "HR-Systeme", "Intranet", "Reporting", "Überwachung",
)  # fmt: skip
USER_AGENTS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
)

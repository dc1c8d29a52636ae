"""Environments: which tenant is asked, where it lives, and with which credentials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from auditor.config import PROJECT_FILE, yaml
from auditor.model.diagnostic import Checked, Level
from auditor.model.environment import REGION_DOMAINS, Environment
from auditor.model.project import Project
from auditor.model.secret import Secret
from tests.support import ROOT
from tests.test_config_project import ID, codes, loaded, only, place, policy, project, sound

HOSTS: Any = yaml.load((ROOT / "tests/spec/config/hosts.yaml").read_text("utf-8"), "hosts.yaml").value
OTHER = "00000000-0000-4000-8000-000000000001"
TERRAFORM = {
    "PINGONE_ENVIRONMENT_ID": ID,
    "PINGONE_CLIENT_ID": "terraform",
    "PINGONE_CLIENT_SECRET": "terraform-secret",
    "PINGONE_REGION_CODE": "EU",
}
"""The variables of the PingOne Terraform provider."""


def with_environments(folder: Path, written: str, more: str = "", **request: Any) -> Checked[Project]:
    """Load a project of which the environments are given as YAML."""
    files = {PROJECT_FILE: project(more=f"environments: {written}\n{more}"), "policies/a.yaml": policy()}
    return loaded(folder, files, **request)


def environment(checked: Checked[Project]) -> Environment:
    (found,) = sound(checked).environments
    return found


# Without a project


def test_without_a_project_the_variables_of_the_terraform_provider_name_the_tenant(tmp_path):
    found = environment(loaded(tmp_path, {"a.yaml": policy()}, paths=["a.yaml"], environ=TERRAFORM))
    assert (found.name, found.id, found.region) == ("default", ID, "EU")
    assert (found.api_url, found.auth_url) == ("https://api.pingone.eu/v1", "https://auth.pingone.eu")
    assert found.credentials
    assert (found.credentials.environment_id, found.credentials.client_id) == (ID, "terraform")
    assert found.credentials.client_secret == Secret("terraform-secret")
    assert found.missing == ()


@pytest.mark.parametrize("name", TERRAFORM)
def test_variables_of_the_auditor_win_over_those_of_terraform(tmp_path, name):
    """So that a worker application that only reads may stand beside Terraform's."""
    own = {"PINGONE_ENVIRONMENT_ID": OTHER, "PINGONE_REGION_CODE": "CA"}.get(name, "own")
    environ = {**TERRAFORM, f"AUDITOR_{name}": own}
    found = environment(loaded(tmp_path, {"a.yaml": policy()}, paths=["a.yaml"], environ=environ))
    assert found.credentials
    values = {
        "PINGONE_ENVIRONMENT_ID": found.id,
        "PINGONE_CLIENT_ID": found.credentials.client_id,
        "PINGONE_CLIENT_SECRET": "own" if found.credentials.client_secret == Secret("own") else "",
        "PINGONE_REGION_CODE": found.region,
    }
    assert values[name] == own


@pytest.mark.parametrize("prefix", ["PINGONE", "AUDITOR_PINGONE"])
def test_urls_may_stand_in_place_of_a_region(tmp_path, prefix):
    urls = {f"{prefix}_API_URL": "http://127.0.0.1:1/v1/", f"{prefix}_AUTH_URL": "http://127.0.0.1:1"}
    found = environment(
        loaded(tmp_path, {"a.yaml": policy()}, paths=["a.yaml"], environ={**TERRAFORM, **urls})
    )
    assert (found.region, found.api_url, found.auth_url) == (
        None,
        "http://127.0.0.1:1/v1",
        "http://127.0.0.1:1",
    )


def test_what_is_not_given_is_missing_and_no_mistake(tmp_path):
    """A plan needs no credentials; the run that does says what would give them."""
    found = environment(loaded(tmp_path, {"a.yaml": policy()}, paths=["a.yaml"]))
    assert (found.id, found.api_url, found.auth_url, found.credentials) == (None, None, None, None)
    assert found.missing == (
        "PINGONE_ENVIRONMENT_ID",
        "a region (PINGONE_REGION_CODE), or both PINGONE_API_URL and PINGONE_AUTH_URL",
        "PINGONE_CLIENT_ID",
        "PINGONE_CLIENT_SECRET",
    )


def test_an_empty_variable_is_not_given(tmp_path):
    environ = {**TERRAFORM, "PINGONE_CLIENT_SECRET": "", "AUDITOR_PINGONE_CLIENT_ID": ""}
    found = environment(loaded(tmp_path, {"a.yaml": policy()}, paths=["a.yaml"], environ=environ))
    assert found.missing == ("PINGONE_CLIENT_SECRET",)


def test_one_url_without_the_other_is_missing(tmp_path):
    environ = {**TERRAFORM, "PINGONE_API_URL": "https://api.pingone.com/v1"}
    found = environment(loaded(tmp_path, {"a.yaml": policy()}, paths=["a.yaml"], environ=environ))
    assert found.missing == ("PINGONE_AUTH_URL beside the api_url",)
    assert found.auth_url is None


# The choice


def test_the_only_environment_need_not_be_named(tmp_path):
    assert environment(with_environments(tmp_path, f"{{prod: {{id: {ID}, region: NA}}}}")).name == "prod"


TWO = f"{{prod: {{id: {ID}, region: NA}}, test: {{id: {OTHER}, region: EU}}}}"


def test_nothing_chooses_a_tenant_implicitly(tmp_path):
    found = only(with_environments(tmp_path, TWO), "project.choose-environment")
    assert found.subject == "--environment"
    assert "prod, test" in found.help


def test_all_environments_are_checked_where_none_needs_to_be_chosen(tmp_path):
    found = sound(with_environments(tmp_path, TWO, choose=False))
    assert [e.name for e in found.environments] == ["prod", "test"]


@pytest.mark.parametrize("names", [["test"], ["test", "prod"], ["prod", "test", "prod"]])
def test_environments_are_chosen_by_name_each_once(tmp_path, names):
    found = sound(with_environments(tmp_path, TWO, environments=names))
    assert [e.name for e in found.environments] == list(dict.fromkeys(names))


def test_an_unknown_environment_is_a_mistake(tmp_path):
    checked = with_environments(tmp_path, TWO, environments=["prd", "nothing"])
    assert codes(checked) == ["project.unknown-environment", "project.unknown-environment"]
    assert {d.help for d in checked.diagnostics} == {'did you mean "prod"?', "known here: prod, test"}


def test_an_environment_is_unknown_where_no_project_declares_any(tmp_path):
    """Its name would be taken for a choice of a tenant, and be none."""
    checked = loaded(
        tmp_path, {"a.yaml": policy()}, paths=["a.yaml"], environ=TERRAFORM, environments=["prod"]
    )
    assert only(checked, "project.unknown-environment").help == "known here: default"


def test_mistakes_of_environments_that_are_not_chosen_do_not_matter(tmp_path):
    """To audit one tenant, nobody must allow the host of another."""
    environments = (
        f"{{prod: {{id: {ID}, region: NA}}, test: {{id: {ID}, api_url: 'https://x', auth_url: 'https://x'}}}}"
    )
    assert environment(with_environments(tmp_path, environments, environments=["prod"])).name == "prod"


# Regions and URLs


@pytest.mark.parametrize("region", REGION_DOMAINS)
@pytest.mark.parametrize("write", [str.upper, str.lower])
def test_every_region_is_known_in_any_case(tmp_path, region, write):
    found = environment(with_environments(tmp_path, f"{{prod: {{id: {ID}, region: {write(region)}}}}}"))
    assert found.region == region
    assert found.api_url == f"https://api.{REGION_DOMAINS[region]}/v1"


def test_the_region_of_the_project_wins_over_the_variables_of_the_process(tmp_path):
    environ = {"PINGONE_REGION_CODE": "CA", "PINGONE_API_URL": "https://x", "PINGONE_AUTH_URL": "https://x"}
    checked = with_environments(tmp_path, f"{{prod: {{id: {ID}, region: AU}}}}", environ=environ)
    assert checked.value
    (found,) = checked.value.environments
    assert (found.region, found.auth_url) == ("AU", "https://auth.pingone.com.au")
    assert [(told.code, told.level) for told in checked.diagnostics] == [
        ("project.ignored-url", Level.WARNING)
    ]


@pytest.mark.parametrize("region", ["US", "europe", "''", "${env.PINGONE_REGION_CODE}"])
def test_an_unknown_region_is_a_mistake(tmp_path, region):
    checked = with_environments(tmp_path, f"\n  prod:\n    id: {ID}\n    region: {region}", environ=TERRAFORM)
    found = only(checked, "project.unknown-region")
    assert place(found) == (PROJECT_FILE, 6, 13)
    assert "NA, CA, EU, AU, SG, AP" in found.help


@pytest.mark.parametrize("name", ["PINGONE_REGION_CODE", "AUDITOR_PINGONE_REGION_CODE"])
def test_an_unknown_region_of_the_process_names_the_variable(tmp_path, name):
    environ = {**TERRAFORM, name: "XX"}
    found = only(
        loaded(tmp_path, {"a.yaml": policy()}, paths=["a.yaml"], environ=environ), "project.unknown-region"
    )
    assert found.subject == name


@pytest.mark.parametrize("key", ["api_url", "auth_url"])
def test_a_region_and_a_url_contradict_each_other(tmp_path, key):
    environments = f"\n  prod: {{id: {ID}, {key}: 'https://api.pingone.com', region: EU}}"
    found = only(with_environments(tmp_path, environments), "schema.bad-value")
    assert found.location
    assert found.location.snippet[found.location.column - 1 :] == "EU}"


@pytest.mark.parametrize(
    ("case", "allow"),
    [
        pytest.param(c, g.get("allow", []), id=f"{g['comment']}: {c['url']!r}")
        for g in HOSTS
        for c in g["cases"]
    ],
)
def test_credentials_go_to_pingone_or_this_machine_or_a_host_that_is_allowed(tmp_path, case, allow):
    environ = {**TERRAFORM, "PINGONE_API_URL": case["url"], "PINGONE_AUTH_URL": "https://auth.pingone.com"}
    checked = loaded(tmp_path, {"a.yaml": policy()}, paths=["a.yaml"], environ=environ, allow_hosts=allow)
    if case.get("ok"):
        assert environment(checked).api_url == case["url"].rstrip("/")
    else:
        found = only(checked, "project.refused-host")
        assert case["refused"] in found.detail
        assert found.subject == "PINGONE_API_URL"
        assert "password" not in found.detail


def test_both_urls_are_checked_at_once(tmp_path):
    urls = "api_url: 'https://one.example', auth_url: 'https://two.example'"
    checked = with_environments(tmp_path, f"{{prod: {{id: {ID}, {urls}}}}}")
    assert codes(checked) == ["project.refused-host", "project.refused-host"]


def test_a_refused_host_of_the_project_is_shown_with_how_to_allow_it(tmp_path):
    environments = (
        f"\n  prod:\n    id: {ID}\n    api_url: https://evil.example/v1\n    auth_url: https://api.pingone.eu"
    )
    found = only(with_environments(tmp_path, environments), "project.refused-host")
    assert place(found) == (PROJECT_FILE, 6, 14)
    assert "--allow-host evil.example" in found.help
    environments = (
        environments.replace("api_url", "x").replace("auth_url", "api_url").replace("x:", "auth_url:")
    )
    assert place(only(with_environments(tmp_path, environments), "project.refused-host")) == (
        PROJECT_FILE,
        6,
        15,
    )


# Identifiers and credentials


def test_an_environment_may_have_credentials_of_its_own(tmp_path):
    credentials = (
        f"{{environment_id: {OTHER}, client_id: literal, auth_method: private_key_jwt, "
        "client_secret: '${env.MY_SECRET}'}"
    )
    environments = f"{{prod: {{id: {ID}, region: NA, credentials: {credentials}}}}}"
    found = environment(with_environments(tmp_path, environments, environ={"MY_SECRET": "s"}))
    assert found.credentials
    assert found.credentials.environment_id == OTHER
    assert found.credentials.client_id == "literal"
    assert found.credentials.client_secret == Secret("s")
    assert found.credentials.auth_method == "private_key_jwt"


def test_only_variables_of_pingone_have_a_twin_of_the_auditor(tmp_path):
    environments = f"{{prod: {{id: {ID}, region: NA, credentials: {{client_secret: '${{env.VAR_x}}'}}}}}}"
    found = with_environments(tmp_path, environments, environ={**TERRAFORM, "AUDITOR_VAR_x": "s"})
    assert codes(found) == ["variable.undeclared"]
    found = with_environments(
        tmp_path, environments, environ={**TERRAFORM, "VAR_x": "right", "AUDITOR_X": "s"}
    )
    credentials = environment(found).credentials
    assert credentials
    assert credentials.client_secret == Secret("right")


@pytest.mark.parametrize(
    ("more", "column"), [("id: '${env.X}'", 16), ("id: prod", 16), (f"id: {ID}0", 16), ("id: ' '", 16)]
)
def test_an_identifier_is_a_uuid_and_is_not_shown_if_it_is_none(tmp_path, more, column):
    """It may be a reference to a variable that is nobody's business."""
    checked = with_environments(tmp_path, f"\n  prod: {{   {more}, region: NA}}", environ={"X": "hunter2"})
    found = only(checked, "project.bad-identifier")
    assert place(found) == (PROJECT_FILE, 4, column + 1)
    assert "hunter2" not in repr(found)


def test_an_identifier_of_the_process_that_is_no_uuid_names_the_variable(tmp_path):
    environ = {**TERRAFORM, "AUDITOR_PINGONE_ENVIRONMENT_ID": "hunter2"}
    checked = loaded(tmp_path, {"a.yaml": policy()}, paths=["a.yaml"], environ=environ)
    assert codes(checked) == ["project.bad-identifier"]
    (found,) = checked.diagnostics
    assert found.subject == "AUDITOR_PINGONE_ENVIRONMENT_ID"
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("id", "x${env.X}"),
        ("id", "${env.X"),
        ("id", "${var.x}"),
        ("id", "${env.X}${env.Y}"),
        ("credentials", "{client_id: 'a${env.X}'}"),
        ("credentials", "{environment_id: '${X}'}"),
    ],
)
def test_a_reference_stands_alone(tmp_path, key, text):
    given = {"id": ID, "region": "NA", key: text if text.startswith("{") else f"'{text}'"}
    body = ", ".join(f"{name}: {value}" for name, value in given.items())
    found = only(
        with_environments(tmp_path, f"{{prod: {{{body}}}}}", environ=TERRAFORM), "project.bad-reference"
    )
    assert "${env.NAME}" in found.detail


def test_a_worker_lives_in_an_environment_with_a_uuid(tmp_path):
    environments = f"{{prod: {{id: {ID}, region: NA, credentials: {{environment_id: '${{env.X}}'}}}}}}"
    found = only(
        with_environments(tmp_path, environments, environ={"X": "hunter2"}), "project.bad-identifier"
    )
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize("secret", ["hunter2", "x${env.PINGONE_CLIENT_SECRET}", "${env.}", "${file.x}"])
def test_a_secret_in_a_file_is_refused_and_not_shown(tmp_path, secret):
    environments = f"\n  prod:\n    id: {ID}\n    region: NA\n    credentials: {{client_secret: '{secret}'}}"
    found = only(with_environments(tmp_path, environments), "project.secret-in-file")
    assert place(found) == (PROJECT_FILE, 7, 34)
    assert secret not in repr(found)
    assert "change the secret" in found.help


@pytest.mark.parametrize(
    "client_id", ["${env.PINGONE_CLIENT_SECRET}", "${env.MY_SECRET}", "${env.my_secret_key}"]
)
def test_a_client_id_that_names_a_secret_is_refused(tmp_path, client_id):
    environments = f"{{prod: {{id: {ID}, region: NA, credentials: {{client_id: '{client_id}'}}}}}}"
    found = only(with_environments(tmp_path, environments, environ=TERRAFORM), "project.bad-reference")
    assert found.location
    assert found.location.file == PROJECT_FILE


def test_a_client_id_that_is_the_reference_of_the_secret_is_refused(tmp_path):
    credentials = "{client_id: '${env.KEY}', client_secret: '${env.KEY}'}"
    environments = f"{{prod: {{id: {ID}, region: NA, credentials: {credentials}}}}}"
    assert codes(with_environments(tmp_path, environments)) == ["project.bad-reference"]


@pytest.mark.parametrize(
    ("given", "expected"), [("${env.PINGONE_ORGANIZATION_ID}", OTHER), (ID, ID), ("${env.NOT_THERE}", None)]
)
def test_an_organization_is_named_by_its_id(tmp_path, given, expected):
    """Where it is not given it is not missing either: only few resource kinds need it."""
    found = environment(
        with_environments(
            tmp_path,
            f"{{prod: {{id: {ID}, region: NA}}}}",
            f"organization_id: {given}\n",
            environ={**TERRAFORM, "PINGONE_ORGANIZATION_ID": OTHER},
        )
    )
    assert (found.organization_id, found.missing) == (expected, ())


def test_a_bad_organization_is_told_once(tmp_path):
    checked = with_environments(tmp_path, TWO, "organization_id: mine\n", choose=False)
    assert place(only(checked, "project.bad-identifier")) == (PROJECT_FILE, 4, 18)

# A worker application with the least roles that the two shipped packs need, as `auditor plan --roles` tells them.
#
# Written for version 1 of the provider pingidentity/pingone. The provider itself takes PINGONE_CLIENT_ID and its like;
# give what this makes to the auditor as AUDITOR_PINGONE_CLIENT_ID and AUDITOR_PINGONE_CLIENT_SECRET.

terraform {
  required_version = ">= 1.3"
  required_providers {
    pingone = {
      source  = "pingidentity/pingone"
      version = ">= 1.0, < 2.0"
    }
  }
}

variable "administrators_environment_id" {
  description = "The environment that holds the worker application, such as Administrators."
  type        = string
}

variable "audited_environment_ids" {
  description = "The environments that are audited."
  type        = set(string)
}

locals {
  roles = toset([
    "Configuration Read Only",
    "Identity Data Admin", # user activities; without the checks that read them, Identity Data Read Only will do
  ])

  assignments = {
    for pair in setproduct(local.roles, var.audited_environment_ids) :
    "${pair[0]} in ${pair[1]}" => { role = pair[0], environment_id = pair[1] }
  }
}

resource "pingone_application" "auditor" {
  environment_id = var.administrators_environment_id
  name           = "Compliance auditor"
  description    = "Reads the audit log and the configuration; changes nothing."
  enabled        = true

  oidc_options = {
    type                       = "WORKER"
    grant_types                = ["CLIENT_CREDENTIALS"]
    token_endpoint_auth_method = "CLIENT_SECRET_BASIC"
  }
}

resource "pingone_application_secret" "auditor" {
  environment_id = var.administrators_environment_id
  application_id = pingone_application.auditor.id
}

data "pingone_role" "auditor" {
  for_each = local.roles
  name     = each.value
}

resource "pingone_application_role_assignment" "auditor" {
  for_each = local.assignments

  environment_id       = var.administrators_environment_id
  application_id       = pingone_application.auditor.id
  role_id              = data.pingone_role.auditor[each.value.role].id
  scope_environment_id = each.value.environment_id
}

output "client_id" {
  value = pingone_application.auditor.id
}

output "client_secret" {
  value     = pingone_application_secret.auditor.secret
  sensitive = true
}

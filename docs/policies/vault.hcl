# What the deployer's token needs at Vault or OpenBao, beside the policy `default` that every token has:
#
#   vault policy write docker-registry-deploy vault.hcl
#   vault token create -policy=docker-registry-deploy
#
# Take the first block, and of the others those whose settings the stack has. When a stack changes from one
# mode to another, it needs both modes' blocks for that one `pulumi up`.
#
# The names are those of the default settings. Where registry.name is not `docker-registry`, it stands in its
# place everywhere here. `secret` is vault.mount, `jwt-nomad` is vault.workload.backend.
#
# Whoever may write policies and roles can give rights that the token itself does not have. Keep this token
# as you would keep those rights.

# ---- every stack ----

# The policy by which the registry's job reads its secrets.
path "sys/policies/acl/docker-registry" {
  capabilities = ["create", "read", "update", "delete"]
}

# The generated http.secret. With each new version of a secret the provider writes its metadata too, here and
# below.
path "secret/data/docker-registry/http" {
  capabilities = ["create", "read", "update"]
}
path "secret/metadata/docker-registry/http" {
  capabilities = ["read", "update", "delete"]
}

# The provider works with a short-lived child of the token. Not needed with vault:skipChildToken.
path "auth/token/create" {
  capabilities = ["update"]
}

# ---- vault.identity: workload ----

# The role by which the job logs in.
path "auth/jwt-nomad/role/docker-registry" {
  capabilities = ["create", "read", "update", "delete"]
}

# ---- vault.workload.createBackend: true ----

# The backend at which it logs in. Vault asks for sudo to make or remove one.
path "sys/auth/jwt-nomad" {
  capabilities = ["create", "update", "delete", "sudo"]
}
path "sys/mounts/auth/jwt-nomad" {
  capabilities = ["read"]
}
path "sys/mounts/auth/jwt-nomad/tune" {
  capabilities = ["read", "update"]
}
path "auth/jwt-nomad/config" {
  capabilities = ["create", "read", "update"]
}

# ---- storage.s3, registry.redis or registry.config with secrets ----

path "secret/data/docker-registry/config" {
  capabilities = ["create", "read", "update"]
}
path "secret/metadata/docker-registry/config" {
  capabilities = ["read", "update", "delete"]
}

# ---- tls.mode: registry ----
# Not with tls.authority.role: then the authority is there, and a deploy changes nothing of it.

# The PKI engine, its root certificate (Vault chooses the issuer's id), and the role for the host name.
path "sys/mounts/docker-registry-pki" {
  capabilities = ["create", "read", "update", "delete"]
}
path "sys/mounts/docker-registry-pki/tune" {
  capabilities = ["update"]
}
path "docker-registry-pki/issuers/generate/root/internal" {
  capabilities = ["create", "update"]
}
path "docker-registry-pki/issuer/*" {
  capabilities = ["read", "delete"]
}
path "docker-registry-pki/roles/docker-registry" {
  capabilities = ["create", "read", "update", "delete"]
}

# ---- auth.mode: htpasswd ----

# User names with bcrypt hashes.
path "secret/data/docker-registry/users" {
  capabilities = ["create", "read", "update"]
}
path "secret/metadata/docker-registry/users" {
  capabilities = ["read", "update", "delete"]
}

# ---- auth.mode: vault ----

# The key that signs clients' tokens.
path "identity/oidc/key/docker-registry" {
  capabilities = ["create", "read", "update", "delete"]
}

# For each grant, here one that is named ci-app: what its tokens say, and the policy that reads one.
path "identity/oidc/role/docker-registry-ci-app" {
  capabilities = ["create", "read", "update", "delete"]
}
path "sys/policies/acl/docker-registry-ci-app" {
  capabilities = ["create", "read", "update", "delete"]
}

# The key set by which the registry verifies tokens, and the policy of the job that keeps it current.
path "secret/data/docker-registry/jwks" {
  capabilities = ["create", "read", "update"]
}
path "secret/metadata/docker-registry/jwks" {
  capabilities = ["read", "update", "delete"]
}
path "sys/policies/acl/docker-registry-keys" {
  capabilities = ["create", "read", "update", "delete"]
}

# ---- auth.mode: vault, vault.identity: workload ----

path "auth/jwt-nomad/role/docker-registry-keys" {
  capabilities = ["create", "read", "update", "delete"]
}

# ---- auth.nodes, vault.identity: workload ----

path "auth/jwt-nomad/role/docker-registry-pull" {
  capabilities = ["create", "read", "update", "delete"]
}

# ---- auth.nodes, vault.identity: policies ----

# A job's token of this kind can get no token of a grant, so the job that does logs in by an AppRole.
path "sys/policies/acl/docker-registry-pull" {
  capabilities = ["create", "read", "update", "delete"]
}
path "sys/auth/docker-registry-approle" {
  capabilities = ["create", "update", "delete", "sudo"]
}
path "sys/mounts/auth/docker-registry-approle" {
  capabilities = ["read"]
}
path "sys/mounts/auth/docker-registry-approle/tune" {
  capabilities = ["read", "update"]
}
path "auth/docker-registry-approle/role/docker-registry-pull" {
  capabilities = ["create", "read", "update", "delete"]
}
path "auth/docker-registry-approle/role/docker-registry-pull/role-id" {
  capabilities = ["read"]
}

# ---- auth.oidc ----

# Log-in of people.
path "sys/auth/docker-registry-oidc" {
  capabilities = ["create", "update", "delete", "sudo"]
}
path "sys/mounts/auth/docker-registry-oidc" {
  capabilities = ["read"]
}
path "sys/mounts/auth/docker-registry-oidc/tune" {
  capabilities = ["read", "update"]
}
path "auth/docker-registry-oidc/config" {
  capabilities = ["create", "read", "update"]
}
path "auth/docker-registry-oidc/role/docker-registry" {
  capabilities = ["create", "read", "update", "delete"]
}

# Their groups. Vault chooses the ids, so this reaches every group.
path "identity/group" {
  capabilities = ["create", "update"]
}
path "identity/group/id/*" {
  capabilities = ["read", "update", "delete"]
}
path "identity/group-alias" {
  capabilities = ["create", "update"]
}
path "identity/group-alias/id/*" {
  capabilities = ["read", "update", "delete"]
}

# ---- maintenance.garbageCollection of a bucket, or with registry.redis ----

# The policy by which the collection reads the bucket's keys and Redis's password.
path "sys/policies/acl/docker-registry-gc" {
  capabilities = ["create", "read", "update", "delete"]
}

# ---- maintenance.garbageCollection likewise, vault.identity: workload ----

# The roles by which its jobs log in.
path "auth/jwt-nomad/role/docker-registry-gc" {
  capabilities = ["create", "read", "update", "delete"]
}
path "auth/jwt-nomad/role/docker-registry-gc-dry-run" {
  capabilities = ["create", "read", "update", "delete"]
}

# ---- maintenance.backup ----

# The policies of the job that backs up, which makes the password itself, and of those that read backups. No
# deploy needs the password.
path "sys/policies/acl/docker-registry-backup" {
  capabilities = ["create", "read", "update", "delete"]
}
path "sys/policies/acl/docker-registry-snapshots" {
  capabilities = ["create", "read", "update", "delete"]
}

# ---- maintenance.backup.s3 ----

# The keys of the bucket.
path "secret/data/docker-registry/backup-s3" {
  capabilities = ["create", "read", "update"]
}
path "secret/metadata/docker-registry/backup-s3" {
  capabilities = ["read", "update", "delete"]
}

# ---- maintenance.backup, vault.identity: workload ----

path "auth/jwt-nomad/role/docker-registry-backup" {
  capabilities = ["create", "read", "update", "delete"]
}
path "auth/jwt-nomad/role/docker-registry-drill" {
  capabilities = ["create", "read", "update", "delete"]
}
path "auth/jwt-nomad/role/docker-registry-snapshots" {
  capabilities = ["create", "read", "update", "delete"]
}
path "auth/jwt-nomad/role/docker-registry-restore" {
  capabilities = ["create", "read", "update", "delete"]
}

# ---- mirrors that read anything in Vault ----
# Those with a user at their upstream or with auth: same, and all of them with tls.mode: registry.

path "sys/policies/acl/docker-registry-mirrors" {
  capabilities = ["create", "read", "update", "delete"]
}

# ---- mirrors with a user at their upstream ----
# The two for each of them, by its name: here it is docker-hub.

path "secret/data/docker-registry/mirrors/docker-hub" {
  capabilities = ["create", "read", "update"]
}
path "secret/metadata/docker-registry/mirrors/docker-hub" {
  capabilities = ["read", "update", "delete"]
}

# ---- mirrors that read anything in Vault, vault.identity: workload ----

path "auth/jwt-nomad/role/docker-registry-mirrors" {
  capabilities = ["create", "read", "update", "delete"]
}

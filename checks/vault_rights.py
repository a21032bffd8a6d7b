"""Which capabilities the components use on which paths of Vault's API; docs/policies/vault.hcl says the same.

Sources: the resources of the Terraform provider for Vault 5.x, which pulumi-vault wraps. A path that a
server checks for `create` on one version and for `update` on another gets both.
"""

from config.settings import Settings
from jobs.backup import BUCKET_KEYS
from jobs.garbage_collection import reads_secrets

Rights = dict[str, set[str]]

_OBJECT = {"create", "update", "read", "delete"}  # something that the program makes, changes and removes


def needed_rights(settings: Settings) -> Rights:
    """Say what a deploy of these settings needs."""
    return {
        **_base(settings),
        **_workload(settings),
        **_authority(settings),
        **_grants(settings),
        **_nodes(settings),
        **_oidc(settings),
        **_backup(settings),
        **_mirrors(settings),
        **_collection(settings),
    }


def _base(settings: Settings) -> Rights:
    rights = _policy(settings.registry.name)
    for key in settings.secret_paths:
        rights |= _secret(settings, key)
    if settings.providers.vault_makes_child_token:
        rights |= {"auth/token/create": {"update"}}
    return rights


def _workload(settings: Settings) -> Rights:
    """The roles by which the jobs log in with their identity."""
    if settings.vault.identity != "workload":
        return {}
    workload = settings.vault.workload
    jobs = [settings.registry.name]
    if settings.auth.mode == "vault":
        jobs.append(settings.keys_job)
    if settings.auth.nodes:
        jobs.append(settings.pull_job)
    if _collects_with_secrets(settings):
        jobs += [settings.maintenance_job(kind) for kind in ("gc", "gc-dry-run")]
    if settings.maintenance.backup:
        jobs += [settings.maintenance_job(kind) for kind in ("backup", "drill", "snapshots", "restore")]
    if settings.mirrors_use_vault:
        jobs.append(settings.mirrors_job)
    rights: Rights = {f"auth/{workload.backend}/role/{job}": _OBJECT for job in jobs}
    if workload.create_backend:
        rights |= _auth_backend(workload.backend) | _backend_config(workload.backend)
    return rights


def _authority(settings: Settings) -> Rights:
    """A PKI engine; an authority that is there already is used by the job alone."""
    if not settings.makes_authority:
        return {}
    mount = settings.pki_mount
    return {
        f"sys/mounts/{mount}": _OBJECT,
        f"sys/mounts/{mount}/tune": {"update"},
        f"{mount}/issuers/generate/root/internal": {"create", "update"},
        f"{mount}/issuer/*": {"read", "delete"},  # Vault chooses the issuer's id
        f"{mount}/roles/{settings.pki_role}": _OBJECT,
    }


def _grants(settings: Settings) -> Rights:
    """The key that signs tokens, what each may say and who gets it, and the job that publishes the key."""
    if settings.auth.mode != "vault":
        return {}
    rights = {f"identity/oidc/key/{settings.registry.name}": _OBJECT} | _policy(settings.keys_job)
    for grant in settings.auth.grants:
        role = settings.grant_role(grant)
        rights |= {f"identity/oidc/role/{role}": _OBJECT} | _policy(role)
    return rights


def _nodes(settings: Settings) -> Rights:
    """How the job that keeps the auth file of Nomad's clients gets its tokens, if not by its identity."""
    if not settings.auth.nodes or settings.vault.identity == "workload":
        return {}
    backend = f"{settings.registry.name}-approle"
    role = f"auth/{backend}/role/{settings.pull_job}"
    return {
        **_policy(settings.pull_job),
        **_auth_backend(backend),
        role: _OBJECT,
        f"{role}/role-id": {"read"},
    }


def _oidc(settings: Settings) -> Rights:
    """Log-in by an OpenID Connect provider; Vault knows groups by ids that it chooses."""
    if not settings.auth.oidc:
        return {}
    name, backend = settings.registry.name, f"{settings.registry.name}-oidc"
    return {
        **_auth_backend(backend),
        **_backend_config(backend),
        f"auth/{backend}/role/{name}": _OBJECT,
        "identity/group": {"create", "update"},
        "identity/group/id/*": {"update", "read", "delete"},
        "identity/group-alias": {"create", "update"},
        "identity/group-alias/id/*": {"update", "read", "delete"},
    }


def _backup(settings: Settings) -> Rights:
    """The policies of the job that makes the backups' password and of those that read it; a bucket's keys."""
    backup = settings.maintenance.backup
    if backup is None:
        return {}
    rights = _policy(settings.maintenance_job("backup")) | _policy(settings.maintenance_job("snapshots"))
    return rights | (_secret(settings, BUCKET_KEYS) if backup.s3 else {})


def _mirrors(settings: Settings) -> Rights:
    """What the mirrors log in with at their upstreams, and the policy that reads it."""
    rights = _policy(settings.mirrors_job) if settings.mirrors_use_vault else {}
    for mirror in settings.mirrors.root:
        if mirror.password:
            rights |= _secret(settings, f"mirrors/{mirror.name}")
    return rights


def _collection(settings: Settings) -> Rights:
    """The policy by which a collection reads the keys of a bucket and the password of a Redis."""
    return _policy(settings.maintenance_job("gc")) if _collects_with_secrets(settings) else {}


def _collects_with_secrets(settings: Settings) -> bool:
    return settings.maintenance.garbage_collection is not None and reads_secrets(settings)


def _policy(name: str) -> Rights:
    return {f"sys/policies/acl/{name}": _OBJECT}


def _secret(settings: Settings, key: str) -> Rights:
    mount, path = settings.vault.mount, f"{settings.registry.name}/{key}"
    return {
        f"{mount}/data/{path}": {"create", "update", "read"},
        # The provider reads custom_metadata back, and writes it again with each new version.
        f"{mount}/metadata/{path}": {"read", "update", "delete"},
    }


def _auth_backend(path: str) -> Rights:
    return {
        f"sys/auth/{path}": {"create", "update", "delete", "sudo"},
        # The same object at the path that needs no sudo.
        f"sys/mounts/auth/{path}": {"read"},
        f"sys/mounts/auth/{path}/tune": {"read", "update"},
    }


def _backend_config(path: str) -> Rights:
    return {f"auth/{path}/config": {"create", "update", "read"}}

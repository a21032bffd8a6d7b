"""Whether Nomad asks for rights at all."""

from checks.errors import AnswerError
from checks.servers import Server
from config.settings import Settings


def has_acl(nomad: Server) -> bool:
    """Ask who the token is: a Nomad without ACLs says that it has none. Raises CheckError."""
    try:
        nomad.get("/v1/acl/token/self")
    except AnswerError as error:
        return "ACL support disabled" not in error.reason
    return True


def policy_problems(nomad: Server, settings: Settings) -> list[str]:
    """Say if maintenance cannot have its ACL policies: only a management token makes those (Nomad API)."""
    maintenance = settings.maintenance
    freezes = maintenance.garbage_collection or maintenance.retention or maintenance.backup
    if not (freezes or settings.limited_mirrors or settings.monitoring) or not nomad.has_token:
        return []
    if freezes:
        section, use = "maintenance", "by which its jobs freeze the registry"
    elif settings.monitoring:
        section, use = "monitoring", "by which the exporter looks at the registry"
    else:
        section, use = "mirrors[].maxSize", "by which its jobs make room in a cache"
    try:
        nomad.get("/v1/acl/tokens")  # only management tokens list tokens
    except AnswerError as error:
        if error.status == 403:
            return [
                f"the token in {nomad.token_setting} is no management token of Nomad at {nomad.address}, and "
                f"docker-registry:{section} makes ACL policies {use}: "
                "use a management token, or remove that"
            ]
        if "ACL support disabled" not in error.reason:
            raise
    return []

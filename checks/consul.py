"""Whether Consul takes the service's defaults and intentions, and whether its name and host are free."""

from checks.errors import AnswerError
from checks.servers import Server
from checks.taken_route import route_problems, service_problems
from config.settings import Settings


def problems(settings: Settings, consul: Server, nomad: Server) -> list[str]:
    """List what stands in the way. Raises CheckError when Consul or Nomad cannot be asked."""
    if not consul.get("/v1/status/leader"):
        return [f"Consul at {consul.address} has no leader: `journalctl -u consul`, on its servers"]
    return [*_version(consul), *_rights(settings, consul)] or [
        *route_problems(settings, consul, nomad),
        *service_problems(settings, consul, nomad),
    ]


def _version(consul: Server) -> list[str]:
    try:
        version: str = consul.get("/v1/agent/self")["Config"]["Version"]
    except AnswerError as error:
        if error.status == 403:  # needs agent:read, which a deploy does not
            return []
        raise
    major, minor = (int(part) for part in version.split(".")[:2])
    if (major, minor) >= (1, 9):
        return []
    return [f"Consul at {consul.address} is {version}, and intentions as config entries need 1.9: update it"]


def _rights(settings: Settings, consul: Server) -> list[str]:
    service = settings.registry.service
    resources = ("service", "intention")
    questions = [{"Resource": each, "Access": "write", "Segment": service} for each in resources]
    try:
        # What Consul's own web page asks to know which buttons to show.
        answers = consul.post("/v1/internal/acl/authorize", questions)
    except AnswerError as error:
        if "ACL support disabled" in error.reason:
            return []
        raise
    missing = [
        f"{each}:write" for each, answer in zip(resources, answers, strict=True) if not answer["Allow"]
    ]
    if not missing:
        return []
    if not consul.has_token:
        return [
            f"Consul at {consul.address} asks for a token: set {consul.token_setting} (a secret), "
            "or CONSUL_HTTP_TOKEN"
        ]
    return [
        f"the token in {consul.token_setting} lacks {' and '.join(missing)} at Consul at {consul.address}; "
        f'its policy needs:\nservice "{service}" {{\n  policy     = "write"\n  intentions = "write"\n}}'
    ]

"""Whether Consul takes the service's defaults."""

from checks.errors import AnswerError
from checks.servers import Server
from config.settings import Settings


def problems(settings: Settings, consul: Server) -> list[str]:
    """List what stands in the way. Raises CheckError when Consul cannot be asked."""
    if not consul.get("/v1/status/leader"):
        return [f"Consul at {consul.address} has no leader: look at its servers' logs"]
    service = settings.registry.service
    question = [{"Resource": "service", "Access": "write", "Segment": service}]
    try:
        # What Consul's own web page asks to know which buttons to show.
        answer = consul.post("/v1/internal/acl/authorize", question)
    except AnswerError as error:
        if "ACL support disabled" in error.reason:
            return []
        raise
    if answer[0]["Allow"]:
        return []
    if not consul.has_token:
        return [
            f"Consul at {consul.address} asks for a token: set {consul.token_setting} (a secret), "
            "or CONSUL_HTTP_TOKEN"
        ]
    return [
        f"the token in {consul.token_setting} lacks rights at Consul at {consul.address}; its policy needs:\n"
        f'service "{service}" {{\n  policy = "write"\n}}'
    ]

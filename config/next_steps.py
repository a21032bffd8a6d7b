"""What to do after `pulumi up`, to be followed line by line."""

from config.settings import Settings


def next_steps(settings: Settings) -> str:
    """Write the steps from a running registry to a pushed image."""
    hostname = settings.registry.hostname
    address = hostname if settings.tls.port == 443 else f"{hostname}:{settings.tls.port}"
    certificates = f"/etc/docker/certs.d/{address}"
    user = min(settings.auth.users, default=None)
    image = f"{address}/{user or 'alice'}/hello:1"
    login = [f"docker login --username {user or 'alice'} {address}"]
    if user is None:
        login = ["python -m ops users set alice", "pulumi up", *login]
    return "\n".join(
        [
            f"1. Let {hostname} resolve to the machine that runs Traefik, by DNS or in /etc/hosts.",
            "2. On each machine with Docker, as root, trust the certificate that Traefik shows",
            "   (compare the fingerprint; not needed if a public authority signed it):",
            f"     mkdir -p {certificates}",
            f"     openssl s_client -connect {hostname}:{settings.tls.port} -servername {hostname} </dev/null"
            f" 2>/dev/null | openssl x509 -fingerprint -sha256 -out {certificates}/ca.crt",
            "3. Log in:",
            *(f"     {line}" for line in login),
            "4. Push an image, here the registry's own, and pull it back:",
            f"     docker tag {settings.registry.image} {image}",
            f"     docker push {image}",
            f"     docker pull {image}",
        ]
    )

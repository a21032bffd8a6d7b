"""An OpenID Connect provider: an OpenBao of its own, in memory, with persons and groups."""

import secrets
import subprocess
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import httpx
from waiting import until

CLIENT = "vault"


class IdentityProvider:
    """What a person sees of it, and what its administrator tells Vault's."""

    def __init__(self, address, root_token):
        self.discovery_url = f"{address}/v1/identity/oidc/provider/default"
        self._admin = httpx.Client(base_url=f"{address}/v1/", headers={"X-Vault-Token": root_token})
        self._passwords = {}
        self._write("sys/auth/userpass", {"type": "userpass"})
        self._write(
            "identity/oidc/scope/groups", {"template": '{"groups": {{identity.entity.groups.names}}}'}
        )

    def serve(self, redirect_uri):
        """Let Vault be a client; gives its id and its secret."""
        client = {"redirect_uris": [redirect_uri], "assignments": ["allow_all"]}
        self._write(f"identity/oidc/client/{CLIENT}", client)
        made = self._admin.get(f"identity/oidc/client/{CLIENT}").json()["data"]
        self._write(
            "identity/oidc/provider/default",
            {"allowed_client_ids": [made["client_id"]], "scopes_supported": ["groups"]},
        )
        return made["client_id"], made["client_secret"]

    def add_person(self, name):
        self._passwords[name] = secrets.token_urlsafe(12)
        self._write(f"auth/userpass/users/{name}", {"password": self._passwords[name]})

    def add_group(self, name, members):
        entities = [self._log_in(member)["entity_id"] for member in members]
        self._write("identity/group", {"name": name, "member_entity_ids": entities})

    def browse(self, url, person):
        """Play the browser: the person logs in and is sent back; gives the page that is shown in the end."""
        query = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
        answer = self._admin.get(
            "identity/oidc/provider/default/authorize",
            params=query,
            headers={"X-Vault-Token": self._log_in(person)["client_token"]},
        )
        assert answer.status_code == 200, answer.text
        return httpx.get(query["redirect_uri"], params=answer.json()).text

    def _log_in(self, person):
        password = {"password": self._passwords[person]}
        return self._admin.post(f"auth/userpass/login/{person}", json=password).json()["auth"]

    def _write(self, path, body):
        answer = self._admin.post(path, json=body)
        assert answer.is_success, f"{path}: {answer.text}"


@contextmanager
def identity_provider(bao, folder, port):
    """Start one; it is gone afterwards."""
    token, address = secrets.token_urlsafe(12), f"http://127.0.0.1:{port}"
    with (folder / "identity-provider.log").open("w") as log:
        # The token goes by the environment: every user can read argv.
        server = subprocess.Popen(
            [bao, "server", "-dev", "-dev-no-store-token", f"-dev-listen-address=127.0.0.1:{port}"],
            env={"BAO_DEV_ROOT_TOKEN_ID": token, "HOME": str(folder)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: _is_active(f"{address}/v1/sys/health"))
        yield IdentityProvider(address, token)
    finally:
        server.terminate()
        server.wait(30)


def _is_active(url):
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False

"""Every way to authenticate and to speak TLS, one after the other on one store."""

import json
import re
import secrets
import subprocess

import httpx
import pytest
from planted import plant
from signed_tokens import SigningKey, claims
from vault_people import person, registry_token

from devcluster.stack import DEMO_USER

# From htpasswd and traefik on, each auth mode follows each other one once, and so does each TLS mode, twice.
SWITCHES = [
    ("vault", "registry"),
    ("htpasswd", "traefik"),
    ("external", "plain"),
    ("htpasswd", "registry"),
    ("none", "plain"),
    ("vault", "traefik"),
    ("external", "registry"),
    ("vault", "traefik"),
    ("none", "plain"),
    ("external", "registry"),
    ("none", "plain"),
    ("htpasswd", "traefik"),
]
PLANTED = f"planted-{secrets.token_hex(12)}"


class Modes:
    """Switches the deployed stack, and knows how to log in to each mode."""

    def __init__(self, registry, repository):
        self.registry, self.repository = registry, repository
        self.key = SigningKey("test")
        self.person = person(registry.cluster, "robot", "docker-registry-ci-app")
        self.users = registry.section("auth")["users"]

    def switch(self, auth, tls):
        registry = self.registry
        values = {
            "mode": auth,
            "users": None,
            "grants": None,
            "external": None,
            "allowAnonymous": None,
            "oidc": None,
        }
        match auth:
            case "htpasswd":
                values["users"] = self.users
            case "vault":
                values["grants"] = {"ci-app": {"repositories": {self.repository: ["pull", "push"]}}}
                provider = f"{registry.cluster.vault_address}/v1/identity/oidc/provider/default"
                values["oidc"] = {"discoveryUrl": provider, "clientId": "vault"}
                values["oidc"]["groups"] = {"developers": ["ci-app"]}
            case "external":
                values["external"] = {
                    "realm": "https://tokens.homelab.local/token",
                    "service": "images",
                    "issuer": "tokens.homelab.local",
                    "jwks": self.key.jwks,
                }
            case "none":
                values["allowAnonymous"] = True
        registry.change("auth", **values)
        if values["oidc"]:
            registry.encrypt("auth.oidc.clientSecret", PLANTED)
        registry.change("tls", mode=tls)
        # Secrets of notifications are shown by the debug port, which nobody else may reach then.
        registry.change("access", bind="127.0.0.1")
        self.planted = plant(registry)
        registry.up()
        registry.wait_until_served(expected=200 if auth == "none" else 401)

    def credentials(self, auth):
        """The header by which a request is let in, and the secret in it."""
        registry = self.registry
        match auth:
            case "htpasswd":
                return httpx.BasicAuth(DEMO_USER, registry.password), registry.password
            case "vault":
                token = registry_token(registry.cluster, self.person, "docker-registry-ci-app")
            case "external":
                access = [{"type": "repository", "name": self.repository, "actions": ["pull", "push"]}]
                token = self.key.sign(claims(issuer="tokens.homelab.local", audience="images", access=access))
            case "none":
                return None, PLANTED
        return Bearer(token), token


class Bearer(httpx.Auth):
    def __init__(self, token):
        self.token = token

    def auth_flow(self, request):
        request.headers["Authorization"] = f"Bearer {self.token}"
        yield request


@pytest.fixture(scope="module")
def modes(deployment):
    deployment.wait_until_served()
    deployment.login(deployment.address)
    deployment.docker("tag", "registry:3", f"{deployment.address}/modes/kept:1")
    deployment.docker("push", "--quiet", f"{deployment.address}/modes/kept:1")
    before = deployment.settings_text()
    yield Modes(deployment, "modes/kept")
    deployment.restore(before)
    deployment.up()
    deployment.wait_until_served()


@pytest.mark.parametrize(("auth", "tls"), SWITCHES)
def test_each_switch_is_one_up_that_keeps_the_images_and_shows_no_secret(modes, auth, tls):
    registry = modes.registry

    modes.switch(auth, tls)

    preview = registry.run("pulumi", "preview", "--diff", "--stack", "dev", "--expect-no-changes")
    credentials, secret = modes.credentials(auth)
    trust = registry.trust()
    for url in registry.base_urls:
        manifest = f"{url}/v2/{modes.repository}/manifests/1"
        headers = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
        assert httpx.get(manifest, headers=headers, auth=credentials, verify=trust).status_code == 200
        started = httpx.post(f"{url}/v2/{modes.repository}/blobs/uploads/", auth=credentials, verify=trust)
        assert started.status_code == 202
        if auth != "none":
            assert httpx.get(manifest, verify=trust).status_code == 401
    no_secret_is_shown(registry, preview, {"credential": secret, "planted": PLANTED}, modes.planted)


def no_secret_is_shown(registry, preview, known, planted):
    """Search everything that is written or shown for every secret that there is.

    What is `planted` in the registry's own configuration has to have reached it.
    """
    cluster = registry.cluster
    files = registry.docker(
        "exec",
        f"registry-{registry.allocation()}",
        "find",
        "/secrets",
        "-type",
        "f",
        "-exec",
        "cat",
        "{}",
        "+",
    )
    for name, value in planted.items():
        assert value in files, f"{name} did not reach the registry"
    known = known | planted
    known |= {
        "http.secret": registry.run(
            "bao", "kv", "get", "-field=secret", "secret/docker-registry/http"
        ).strip()
    }
    known |= {f"hash {index}": found for index, found in enumerate(re.findall(r"\$2[aby]\$\S+", files))}
    if key := re.search(r"PRIVATE KEY-----\n(.+)\n", files):
        known["private key"] = key[1]
    places = {
        "preview": preview,
        "state": registry.run("pulumi", "stack", "export", "--stack", "dev"),
        "outputs": registry.run("pulumi", "stack", "output", "--json", "--stack", "dev"),
        "jobs": json.dumps(
            [
                httpx.get(f"{cluster.nomad_address}/v1/job/{job['ID']}").json()
                for job in httpx.get(f"{cluster.nomad_address}/v1/jobs").json()
            ]
        ),
        "ps": subprocess.run(["ps", "auxeww"], capture_output=True, text=True, check=True).stdout,
        "docker": registry.containers("--all"),
        "consul": httpx.get(f"{cluster.consul_address}/v1/catalog/service/registry").text,
        **{
            f"ops {command}": registry.run("python", "-m", "ops", *command.split(), "--stack", "dev")
            for command in ("status", "render", "render docker-registry", "plan --markdown")
        },
    }
    # What asks for no log-in. Secrets of notifications are in /debug/vars, so only this machine asks there.
    debug = f"http://127.0.0.1:{registry.ports.registry_debug}"
    places |= {path: httpx.get(debug + path).text for path in ("/metrics", "/debug/health")}
    places |= {
        path: httpx.get(f"{debug}/debug/pprof/{path}").text for path in ("cmdline", "symbol", "heap?debug=1")
    }
    # The section of Redis is empty there, which is no JSON (docs/decisions/0014).
    shown = httpx.get(f"{debug}/debug/vars").text.replace('"redis": }', '"redis": null}')
    shown = json.loads(shown.replace('"redis": ,', '"redis": null,'))
    del shown["registry"]["notifications"]
    places["/debug/vars"] = json.dumps(shown)
    state = cluster.root / "pulumi" / "state"
    places |= {str(file): file.read_text() for file in state.rglob("*") if file.is_file()}
    places |= {str(path): path.read_text(errors="replace") for path in (cluster.root / "logs").glob("*.log")}
    places |= cluster.task_logs()
    for place, text in places.items():
        for name, value in known.items():
            assert value not in text, f"{name} is in clear in {place}"


def test_what_is_encrypted_where_it_is_needed_in_clear_is_refused_and_not_shown(modes):
    registry = modes.registry
    before = registry.settings_text()
    registry.change("registry", config={"log": {"fields": {"team": "ours"}}})
    registry.encrypt("registry.config.log.fields.team", PLANTED)
    registry.encrypt("registry.hostname", f"{PLANTED}.lan")

    preview = registry.preview(check=False)
    status = registry.run("python", "-m", "ops", "status", "--stack", "dev", check=False)

    for shown in (preview, status):
        for key in ("registry.config.log.fields.team", "registry.hostname"):
            assert f"docker-registry:{key}: is encrypted and cannot be kept secret" in shown
        assert PLANTED not in shown
    registry.restore(before)


def test_secrets_in_a_file_that_the_program_cannot_read_are_refused(modes, tmp_path):
    registry = modes.registry
    before, elsewhere = registry.settings_text(), tmp_path / "elsewhere.yaml"
    plant(registry)
    elsewhere.write_text(registry.settings_text())
    registry.restore(before)

    shown = registry.preview("--config-file", str(elsewhere), check=False)

    assert "docker-registry:registry: has something encrypted, and only the stack file tells what" in shown

"""Who gets at the registry's secrets: logins with Nomad's claims, and what the tokens can reach."""

import base64
import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pulumi
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from documents import block
from plugin_harness import Trial

from components import token_keys
from components.vault_access import VaultAccess, VaultAccessArgs
from config.sections.vault import Vault
from devcluster.openbao import KV_MOUNT, NOMAD_ROLE, stored_nomad_token

NAME = "identity-registry"  # job, policy, role and path below the mount
BACKEND = "jwt-identity"
AUDIENCE = "vault.io"
SECRETS = ("config", "http", "users")
JWKS, PKI = f"{KV_MOUNT}/data/{NAME}/jwks", "identity-pki"
KEY, FOREIGN_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def key_set():
    numbers = KEY.public_key().public_numbers()
    return {
        "keys": [
            {
                "kty": "RSA",
                "use": "sig",
                "alg": "RS256",
                "kid": "test",
                "n": base64url(numbers.n.to_bytes(256)),
                "e": base64url(numbers.e.to_bytes(3)),
            }
        ]
    }


def identity(key=KEY, algorithm="RS256", begins=0, ends=600, without=(), **changes):
    """A task's token as Nomad signs it (Nomad 1.7: Workload Identity); a test gives what differs.

    It holds from `begins` to `ends`, in seconds from now.
    """
    now = int(time.time())
    claims = {
        "aud": [AUDIENCE],
        "iat": now + begins,
        "nbf": now + begins,
        "exp": now + ends,
        "jti": "9b7ad9b6-3b0a-4b0c-8d0c-0b1f6ad2b6ad",
        "sub": f"global:default:{NAME}:registry:registry:vault_default",
        "nomad_namespace": "default",
        "nomad_job_id": NAME,
        "nomad_task": "registry",
        "nomad_allocation_id": "3d0c2a57-6a3f-5f0e-2a4b-7d1c9e8b6a55",
        **changes,
    }
    header = {"alg": algorithm, "typ": "JWT", "kid": "test"}
    content = {claim: value for claim, value in claims.items() if claim not in without}
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, content))
    if algorithm == "none":
        return signed + "."
    return f"{signed}.{base64url(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@pytest.fixture(scope="module")
def jwks_url():
    """Where Nomad would serve its keys."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(key_set()).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/.well-known/jwks.json"
        server.shutdown()


@pytest.fixture(scope="module")
def vault(cluster):
    """A client of the server, by token."""

    def client(token=""):
        return httpx.Client(
            base_url=f"{cluster.vault_address}/v1/", headers={"X-Vault-Token": token}, timeout=30
        )

    return client


@pytest.fixture(scope="module")
def root(cluster, vault):
    with vault(cluster.vault_token) as client:
        yield client


@pytest.fixture(scope="module")
def access(cluster, root, jwks_url, tmp_path_factory):
    """The component's resources on the real server, and secrets of others beside them."""

    def program():
        made = VaultAccess(
            "access",
            VaultAccessArgs(
                name=NAME,
                vault=Vault.model_validate_json(
                    json.dumps(
                        {
                            "mount": KV_MOUNT,
                            "identity": "workload",
                            "workload": {"backend": BACKEND, "createBackend": True, "audience": AUDIENCE},
                        }
                    )
                ),
                users={"alice": "$2b$05$hash"},
                config_secrets={"redis.password": "hunter2"},
                namespace="default",
                jwks_url=jwks_url,
                jwks_path=JWKS,
                issue_path=f"{PKI}/issue/{NAME}",
            ),
        )
        pulumi.export("paths", made.grant.apply(lambda grant: dict(grant.paths)))

    others = (f"{NAME}-2/http", f"{NAME}/other", f"{NAME}/jwks", "another/users")
    for path in others:
        root.post(f"{KV_MOUNT}/data/{path}", json={"data": {"word": "of another"}}).raise_for_status()
    root.post(f"sys/mounts/{PKI}", json={"type": "pki"}).raise_for_status()
    root.post(f"{PKI}/root/generate/internal", json={"common_name": "CA"}).raise_for_status()
    for role in (NAME, "other"):
        names = {"allowed_domains": "registry.lan", "allow_bare_domains": True, "max_ttl": "1h"}
        root.post(f"{PKI}/roles/{role}", json=names).raise_for_status()
    trial = Trial("vault-identity", tmp_path_factory.mktemp("access") / "state", cluster.env)
    trial.up(program)
    yield trial.outputs()["paths"].value
    trial.destroy()
    root.delete(f"sys/mounts/{PKI}").raise_for_status()
    for path in others:
        root.delete(f"{KV_MOUNT}/metadata/{path}").raise_for_status()


@pytest.fixture(scope="module")
def login(access, vault):
    def login(token):
        with vault() as client:
            return client.post(f"auth/{BACKEND}/login", json={"role": NAME, "jwt": token})

    return login


@pytest.fixture(scope="module")
def tokens(cluster, access, login, vault):
    """A job's token by each way that `vault.identity` knows."""
    with vault(stored_nomad_token(cluster.instance)) as nomad:
        made = nomad.post(f"auth/token/create/{NOMAD_ROLE}", json={"policies": [NAME]})
    return {
        "workload": login(identity()).json()["auth"]["client_token"],
        "policies": made.json()["auth"]["client_token"],
    }


@pytest.fixture(params=("workload", "policies"))
def job(request, tokens, vault):
    with vault(tokens[request.param]) as client:
        yield client


def test_our_job_in_our_namespace_gets_a_token_with_our_policy_alone(login):
    auth = login(identity()).json()["auth"]
    assert sorted(auth["policies"]) == ["default", NAME]
    assert (auth["lease_duration"], auth["renewable"]) == (1800, True)
    assert auth["metadata"]["nomad_job_id"] == NAME


def test_every_allocation_of_our_job_is_accepted(login):
    again = identity(nomad_allocation_id="11111111-2222-3333-4444-555555555555")
    assert login(again).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"nomad_job_id": "another"}, id="another job"),
        pytest.param({"nomad_job_id": f"{NAME}-2"}, id="a job whose name begins with ours"),
        pytest.param({"nomad_job_id": [NAME, "another"]}, id="several jobs"),
        pytest.param({"nomad_namespace": "team"}, id="another namespace"),
        pytest.param({"aud": ["consul.io"]}, id="another audience"),
        pytest.param({"without": ("aud",)}, id="no audience"),
        pytest.param({"without": ("nomad_job_id",)}, id="no job"),
        pytest.param({"without": ("nomad_namespace",)}, id="no namespace"),
        pytest.param({"without": ("nomad_namespace", "nomad_job_id")}, id="neither"),
        # Vault allows 150 s of difference between the clocks.
        pytest.param({"begins": -3600, "ends": -200}, id="expired"),
        pytest.param({"begins": 200, "ends": 3600}, id="not valid yet"),
        pytest.param({"key": FOREIGN_KEY}, id="signed by another key"),
        pytest.param({"algorithm": "none"}, id="not signed"),
    ],
)
def test_a_login_that_is_not_exactly_ours_is_refused(login, wrong):
    answer = login(identity(**wrong))
    assert answer.status_code in (400, 403), answer.text
    assert "auth" not in answer.json()


def test_the_token_reads_our_secrets(job, access):
    assert access == {key: f"{KV_MOUNT}/data/{NAME}/{key}" for key in SECRETS}
    read = {key: job.get(path).json()["data"]["data"] for key, path in access.items()}
    assert read["users"] == {"htpasswd": "alice:$2b$05$hash\n"}
    assert read["config"] == {"redis.password": "hunter2"}
    assert len(read["http"]["secret"]) == 64
    assert job.get(JWKS).status_code == 200


def test_the_token_has_a_certificate_for_the_registry_issued_and_none_else(job):
    ours = {"common_name": "registry.lan"}
    assert "private_key" in job.post(f"{PKI}/issue/{NAME}", json=ours).json()["data"]
    assert job.post(f"{PKI}/issue/{NAME}", json={"common_name": "bank.lan"}).status_code == 400
    assert job.post(f"{PKI}/issue/other", json=ours).status_code == 403
    assert job.post(f"{PKI}/sign/{NAME}", json=ours).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        f"{KV_MOUNT}/data/another/users",
        f"{KV_MOUNT}/data/{NAME}-2/http",
        f"{KV_MOUNT}/data/{NAME}/other",
        f"{KV_MOUNT}/metadata/{NAME}/http",
        f"{KV_MOUNT}/metadata/{NAME}?list=true",
        f"{KV_MOUNT}/metadata/?list=true",
        f"{KV_MOUNT}/config",
        f"sys/policies/acl/{NAME}",
        "sys/policies/acl?list=true",
        "sys/mounts",
        "sys/auth",
        "sys/audit",
        "sys/storage/raft/configuration",
        f"{PKI}/roles/{NAME}",
        f"{PKI}/config/urls",
        f"auth/{BACKEND}/config",
        f"auth/{BACKEND}/role/{NAME}",
        f"auth/token/roles/{NOMAD_ROLE}",
        "auth/token/accessors?list=true",
        "identity/entity/id?list=true",
    ],
)
def test_the_token_reads_nothing_else(job, root, path):
    assert root.get(path).status_code == 200  # there is something to be read
    assert job.get(path).status_code == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{KV_MOUNT}/data/{NAME}/http"),
        ("PUT", f"{KV_MOUNT}/data/{NAME}/users"),
        ("PATCH", f"{KV_MOUNT}/data/{NAME}/users"),
        ("POST", f"{KV_MOUNT}/data/{NAME}/new"),
        ("POST", JWKS),
        ("POST", f"{PKI}/roles/{NAME}"),
        ("LIST", f"{KV_MOUNT}/data/{NAME}"),
        ("LIST", f"{KV_MOUNT}/metadata/{NAME}"),
        ("DELETE", f"{KV_MOUNT}/data/{NAME}/http"),
        ("DELETE", f"{KV_MOUNT}/metadata/{NAME}/http"),
        ("POST", f"{KV_MOUNT}/metadata/{NAME}/http"),
        ("POST", f"{KV_MOUNT}/delete/{NAME}/http"),
        ("POST", f"{KV_MOUNT}/destroy/{NAME}/http"),
        ("PUT", f"sys/policies/acl/{NAME}"),
        ("POST", f"auth/{BACKEND}/role/{NAME}"),
        ("POST", "auth/token/create"),
        ("POST", f"auth/token/create/{NOMAD_ROLE}"),
    ],
)
def test_the_token_changes_and_lists_nothing(job, root, access, method, path):
    before = root.get(access["http"]).json()["data"]["metadata"]
    content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
    body = json.dumps({"data": {"user": "eve"}, "versions": [1], "policy": "", "policies": ["root"]})
    answer = job.request(method, path, content=body, headers={"Content-Type": content_type})
    assert answer.status_code == 403
    assert root.get(access["http"]).json()["data"]["metadata"] == before


@pytest.fixture(scope="module")
def keys_job(cluster, access, vault, root):
    """A token with the policy of the job that keeps the key set current."""
    rules = token_keys.policy_text(JWKS)
    root.put(f"sys/policies/acl/{NAME}-keys", json={"policy": rules}).raise_for_status()
    with vault(stored_nomad_token(cluster.instance)) as nomad:
        made = nomad.post(f"auth/token/create/{NOMAD_ROLE}", json={"policies": [f"{NAME}-keys"]})
    with vault(made.json()["auth"]["client_token"]) as client:
        yield client
    root.delete(f"sys/policies/acl/{NAME}-keys")


def test_the_job_of_the_keys_writes_the_key_set_and_reaches_nothing_else(keys_job):
    assert keys_job.post(JWKS, json={"data": {"jwks": "{}"}}).status_code == 200
    assert keys_job.get(JWKS).status_code == 200
    for key in (*SECRETS, "other", "new"):
        path = f"{KV_MOUNT}/data/{NAME}/{key}"
        assert keys_job.get(path).status_code == 403
        assert keys_job.post(path, json={"data": {"user": "eve"}}).status_code == 403
    for method, path in (
        ("DELETE", JWKS),
        ("DELETE", f"{KV_MOUNT}/metadata/{NAME}/jwks"),
        ("LIST", f"{KV_MOUNT}/metadata/{NAME}"),
        ("POST", f"{PKI}/issue/{NAME}"),
        ("POST", "auth/token/create"),
    ):
        assert keys_job.request(method, path).status_code == 403, f"{method} {path}"


def test_a_job_of_ones_own_gets_the_policy_of_a_grant_as_the_page_about_clients_says(
    cluster, root, vault, jwks_url
):
    root.post("sys/auth/jwt-nomad", json={"type": "jwt"}).raise_for_status()
    try:
        root.post("auth/jwt-nomad/config", json={"jwks_url": jwks_url}).raise_for_status()
        role = block("docs/clients.md", "vault write auth/jwt-nomad/role/ci-push - <<'EOF'")
        env = {**cluster.env, "PATH": cluster.documents_path}
        subprocess.run(["sh", "-ec", role.text], env=env, check=True)

        def login(**claims):
            with vault() as client:
                return client.post(
                    "auth/jwt-nomad/login", json={"role": "ci-push", "jwt": identity(**claims)}
                )

        auth = login(nomad_job_id="ci-push").json()["auth"]
        assert sorted(auth["policies"]) == ["default", "docker-registry-ci-app"]
        assert login(nomad_job_id="another").status_code == 400
    finally:
        root.delete("sys/auth/jwt-nomad").raise_for_status()

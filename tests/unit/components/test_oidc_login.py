from components.oidc_login import OidcLogin, OidcLoginArgs

BACKEND, ROLE = "vault:jwt/authBackend:AuthBackend", "vault:jwt/authBackendRole:AuthBackendRole"
GROUP, ALIAS = "vault:identity/group:Group", "vault:identity/groupAlias:GroupAlias"


def deployed(deploy, read_settings):
    oidc = {
        "discoveryUrl": "https://id.homelab.local",
        "clientId": "vault",
        "clientSecret": "hunter2hunter2",
        "groups": {"developers": ["ci-app"]},
    }
    grants = {"ci-app": {"repositories": {"ci/app": ["pull", "push"]}}}
    settings = read_settings(auth={"mode": "vault", "grants": grants, "oidc": oidc})
    args = OidcLoginArgs.of(settings, settings.auth.oidc, policies={"ci-app": "docker-registry-ci-app"})
    recorder, _ = deploy(lambda: OidcLogin("people", args).urn)
    return recorder


def test_members_of_a_group_get_its_grants(deploy, read_settings):
    recorder = deployed(deploy, read_settings)

    assert recorder.inputs(GROUP)["policies"] == ["docker-registry-ci-app"]
    assert recorder.inputs(GROUP)["type"] == "external"
    assert recorder.inputs(ALIAS)["name"] == "developers"
    assert recorder.inputs(ALIAS)["canonicalId"] == "people-developers-id"


def test_a_log_in_alone_gives_no_grant(deploy, read_settings):
    role = deployed(deploy, read_settings).inputs(ROLE)

    assert "tokenPolicies" not in role
    assert role["groupsClaim"] == "groups"


def test_the_client_secret_is_a_secret(deploy, read_settings):
    recorder = deployed(deploy, read_settings)

    assert recorder.secret(BACKEND, "people-backend", "oidcClientSecret") == "hunter2hunter2"

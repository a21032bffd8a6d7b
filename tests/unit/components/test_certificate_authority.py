from components.certificate_authority import CertificateAuthority, CertificateAuthorityArgs

MOUNT, ROOT = "vault:index/mount:Mount", "vault:pkiSecret/secretBackendRootCert:SecretBackendRootCert"
ROLE = "vault:pkiSecret/secretBackendRole:SecretBackendRole"


def test_an_authority_of_its_own_signs_for_the_one_host_name(deploy, read_settings):
    args = CertificateAuthorityArgs.of(read_settings(tls={"mode": "registry"}), existing=None)
    recorder, issue_path = deploy(lambda: CertificateAuthority("ca", args).issue_path)

    assert issue_path == "docker-registry-pki/issue/docker-registry"
    assert recorder.inputs(MOUNT)["type"] == "pki"
    assert recorder.inputs(ROOT)["type"] == "internal", "the authority's key never leaves Vault"
    role = recorder.inputs(ROLE)
    assert role["allowedDomains"] == ["registry.homelab.local"]
    assert role["allowBareDomains"] is True
    assert role["allowIpSans"] is False
    assert role["serverFlag"] is True and role["clientFlag"] is False
    assert role["maxTtl"] == str(720 * 3600)


def test_it_signs_for_the_mirrors_too(deploy, read_settings):
    mirror = {"name": "quay", "upstream": "https://quay.io", "port": 5011}
    args = CertificateAuthorityArgs.of(
        read_settings(tls={"mode": "registry"}, mirrors=[mirror]), existing=None
    )
    recorder, _ = deploy(lambda: CertificateAuthority("ca", args).issue_path)

    assert recorder.inputs(ROLE)["allowedDomains"] == [
        "registry.homelab.local",
        "quay.registry.homelab.local",
    ]


def test_an_authority_that_is_there_is_used_and_nothing_is_made(deploy, read_settings):
    settings = read_settings(tls={"mode": "registry", "authority": {"mount": "pki", "role": "web"}})
    args = CertificateAuthorityArgs.of(settings, existing="PEM")
    made = []

    def program():
        made.append(CertificateAuthority("ca", args))
        return made[0].certificate

    recorder, certificate = deploy(program)

    assert certificate == "PEM"
    assert recorder.types() == ["homelab:registry:CertificateAuthority"]

import subprocess

import pytest

from components.client_trust import ClientTrust, ClientTrustArgs, place_script, remove_script

COMMAND = "command:remote:Command"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICozIMZfcJdjcnLknmkKsb2CCTzMO9ggz8HL5l+RXTJ7"


def test_each_machine_trusts_the_authority_at_every_address(deploy, read_settings):
    hosts = [{"address": name, "hostKey": HOST_KEY} for name in ("one.lan", "two.lan")]
    settings = read_settings(tls={"mode": "registry"}, access={"trustedHosts": hosts})
    recorder, _ = deploy(lambda: ClientTrust("trust", ClientTrustArgs.of(settings, certificate="PEM")).urn)

    names = [each.name for each in recorder.resources if each.typ == COMMAND]
    assert sorted(names) == [
        "trust-one.lan:22-registry.homelab.local",
        "trust-one.lan:22-registry.homelab.local:5000",
        "trust-two.lan:22-registry.homelab.local",
        "trust-two.lan:22-registry.homelab.local:5000",
    ]
    connection = recorder.secret(COMMAND, names[0], "connection")
    assert connection["hostKey"] == HOST_KEY
    command = recorder.inputs(COMMAND, names[0])
    assert "PEM" in command["create"] and command["update"] == command["create"]


def test_the_mirrors_are_trusted_by_name_and_by_port(read_settings):
    mirror = {"name": "quay", "upstream": "https://quay.io", "port": 5011}
    settings = read_settings(tls={"mode": "registry"}, mirrors=[mirror])

    assert ClientTrustArgs.of(settings, certificate="PEM").addresses == (
        "registry.homelab.local:5000",
        "registry.homelab.local",
        "registry.homelab.local:5011",
        "quay.registry.homelab.local",
    )


def test_the_certificate_is_placed_however_often_and_removed_without_a_trace(tmp_path):
    folder = tmp_path / "registry.lan:5000"

    def run(script):
        here = script.replace("/etc/docker/certs.d", str(tmp_path))
        subprocess.run(["sh", "-c", here], check=True)

    for _ in range(2):
        run(place_script("registry.lan:5000", "-----BEGIN CERTIFICATE-----\n"))
    assert (folder / "ca.crt").read_text() == "-----BEGIN CERTIFICATE-----\n"
    run(remove_script("registry.lan:5000"))
    assert not folder.exists()


@pytest.mark.parametrize(
    "text", ["a\nEND\ntouch HERE\n", "'; touch HERE; '", "$(touch HERE)`touch HERE`", "a\\nb%s"]
)
def test_whatever_vault_answers_is_the_files_content_and_no_command(tmp_path, text):
    script = place_script("registry.lan", text.replace("HERE", str(tmp_path / "made")))

    subprocess.run(["sh", "-c", script.replace("/etc/docker/certs.d", str(tmp_path))], check=True)

    placed = (tmp_path / "registry.lan/ca.crt").read_text()
    assert placed == text.replace("HERE", str(tmp_path / "made")).strip() + "\n"
    assert not (tmp_path / "made").exists()


def test_what_else_is_in_the_folder_stays(tmp_path):
    folder = tmp_path / "registry.lan:5000"
    folder.mkdir()
    (folder / "client.cert").write_text("mine")

    script = remove_script("registry.lan:5000").replace("/etc/docker/certs.d", str(tmp_path))
    subprocess.run(["sh", "-c", script], check=True)

    assert (folder / "client.cert").read_text() == "mine"

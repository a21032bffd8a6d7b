"""The commands of README and docs, run as they are written there, on a registry with the default settings.

Those of backups, mirrors, tokens and the like are run by the tests of these.
"""

import json
import re
import shutil
import stat
import subprocess
import sys

import httpx
import pytest
import yaml
from documents import block, blocks, every_block
from image_store import Store

from devcluster.instance import HOSTNAME
from devcluster.stack import DEMO_USER, REPOSITORY

OPERATIONS = "docs/operations.md"


@pytest.fixture(scope="module")
def registry(deployment, tmp_path_factory):
    """With the image ci/app:1 in it."""
    deployment.wait_until_served()
    deployment.login(deployment.address)
    deployment.login(deployment.tls_address)
    store = Store(deployment, tmp_path_factory.mktemp("layers"))
    store.push("ci/app:1", store.layer())
    store.client.close()
    return deployment


@pytest.fixture
def settings(registry):
    """The stack file, put back afterwards."""
    before = registry.settings_text()
    yield registry.stack.file
    registry.restore(before)


def with_password(registry, command):
    """Run a command that asks for the password of alice, who is the demo user here."""
    return registry.shell(command, replace={"alice": DEMO_USER}, text=f"{registry.password}\n")


# README


def test_the_first_image_is_pushed_and_pulled_as_the_readme_says(registry):
    here = {".cluster/": f"{registry.cluster.root}/", f"{HOSTNAME}:8443": registry.tls_address}
    registry.documented("README.md", ". .cluster/env", replace=here)

    assert registry.crane("ls", f"{registry.tls_address}/demo/hello").split() == ["1"]
    registry.remove_repositories("demo")


def test_a_user_is_added_listed_and_removed(registry, settings):
    (first,) = block("README.md", "python -m ops users set alice").commands
    again, listing, removal = block(
        "README.md", "python -m ops users set alice      # a new password, or a new user"
    ).commands

    registry.shell(first, text="correct horse\n")
    registry.shell(again, text="battery staple\n")
    assert "alice" in registry.shell(listing).split()
    registry.shell(removal)
    assert "alice" not in registry.shell(listing).split()


def test_the_files_for_monitoring_are_written(registry):
    written = block("README.md", "python -m ops monitoring --out monitoring-files")
    assert block("docs/monitoring.md", "python -m ops monitoring --out monitoring-files").text == written.text

    told = registry.shell(written.text)

    folder = registry.stack.project / "monitoring-files"
    assert folder.is_dir()
    assert all(file.name in told for file in folder.iterdir())
    shutil.rmtree(folder)


def test_a_clone_gets_a_state_and_a_stack_of_its_own(registry, tmp_path):
    for name in ("Pulumi.yaml", "Pulumi.homelab.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    made = block("README.md", "pulumi login --local")
    # `--local` is below the home that the system knows, whatever HOME says: a person's stacks may be there.
    here = {"--local": f"file://{tmp_path}"}
    env = {"PULUMI_HOME": str(tmp_path / "home"), "PULUMI_BACKEND_URL": ""}

    told = registry.shell(f"cd {tmp_path}\n{made.text}\npulumi stack ls", replace=here, env=env)

    assert "homelab*" in told
    assert list(tmp_path.glob(".pulumi/stacks/**/homelab.json"))


# What to ask first


def test_a_healthy_registry_has_no_failure_and_no_reason_for_one(registry):
    doctor, status, why = block("README.md", "python -m ops doctor").commands
    assert block("docs/troubleshooting.md", "python -m ops doctor").commands == [doctor]
    assert block(OPERATIONS, "python -m ops doctor").commands == [doctor]
    assert block(OPERATIONS, "python -m ops status", under="Operations").commands == [status]
    assert block(OPERATIONS, "python -m ops why").commands == [why]

    for command in (doctor, why):
        registry.shell(command)
    assert "healthy" in registry.shell(status)
    assert "401" in registry.documented(OPERATIONS, "curl -i https://registry.homelab.local/v2/")


def test_after_an_update_of_dsm_an_image_is_pulled(registry):
    told = registry.documented(OPERATIONS, "python -m ops status", under="Updates of DSM")

    assert f"{registry.tls_address}/ci/app:1" in told


def test_the_room_is_told(registry):
    told = registry.documented(OPERATIONS, "df -h /volume1/nomad/volumes/registry_data")

    assert told.count(str(registry.cluster.instance.registry_volume)) >= 1


def test_the_logs_have_each_request_and_the_reasons(registry):
    requests, reasons = block(OPERATIONS, "nomad alloc logs -job docker-registry").commands

    assert '"GET /v2/' in registry.shell(requests)
    assert json.loads(registry.shell(reasons).splitlines()[0])["level"]


# The API


def test_curl_lists_repositories_and_tags_and_deletes_an_image(registry):
    catalogue, tags = block(OPERATIONS, "curl -u alice https://registry.homelab.local/v2/_catalog").commands
    assert '"ci/app"' in with_password(registry, catalogue)
    assert '"tags":["1"]' in with_password(registry, tags)

    head = block(OPERATIONS, "curl -u alice -sI https://registry.homelab.local/v2/ci/app/manifests/1 \\")
    told = with_password(registry, head.text)
    digest = re.search(r"(?i)^docker-content-digest: (\S+)", told, re.MULTILINE)[1]
    assert registry.crane("digest", f"{registry.tls_address}/ci/app:1").strip() == digest

    by_digest, by_tag = block(
        OPERATIONS, "curl -u alice -X DELETE https://registry.homelab.local/v2/ci/app/manifests/sha256:…"
    ).commands
    registry.crane("tag", f"{registry.tls_address}/ci/app:1", "kept")
    with_password(registry, by_tag)
    assert registry.crane("ls", f"{registry.tls_address}/ci/app").split() == ["kept"]
    with_password(registry, by_digest.replace("sha256:…", digest))
    registry.crane("digest", f"{registry.tls_address}/ci/app:kept", check=False)


# Settings that commands write


def test_a_mirror_gets_its_user_and_password_and_clients_what_they_need(registry, settings):
    content = yaml.safe_load(settings.read_text())
    (mirrors,) = [each for each in blocks("docs/mirrors.md") if each.is_settings]
    settings.write_text(yaml.safe_dump({"config": {**content["config"], **yaml.safe_load(mirrors.text)}}))
    user, password = block(
        "docs/mirrors.md", "pulumi config set --path 'docker-registry:mirrors[0].username' me"
    ).commands

    registry.shell(user)
    registry.shell(password, text="hunter2hunter2\n")

    written = yaml.safe_load(settings.read_text())["config"]["docker-registry:mirrors"][0]
    assert (written["username"], list(written["password"])) == ("me", ["secure"])
    told = registry.documented("docs/mirrors.md", "python -m ops mirrors --stack homelab")
    assert "https://docker-hub.registry.homelab.local" in told
    assert "hunter2hunter2" not in told


@pytest.mark.parametrize(
    ("job", "put"),
    [
        (
            "docker-registry-exporter",
            block(
                "docs/monitoring.md",
                'printf %s "$TOKEN" | nomad var put nomad/jobs/docker-registry-exporter consul_token=-',
            ),
        ),
        (
            "docker-registry-scan",
            block(
                "docs/scan.md",
                'printf %s "$TOKEN" | nomad var put nomad/jobs/docker-registry-scan consul_token=-',
            ),
        ),
    ],
)
def test_a_token_for_consul_is_put_where_a_job_reads_it(registry, job, put):
    registry.shell(put.text, env={"TOKEN": "the-token"})

    kept = f"{registry.cluster.nomad_address}/v1/var/nomad/jobs/{job}"
    assert httpx.get(kept).json()["Items"] == {"consul_token": "the-token"}
    httpx.delete(kept).raise_for_status()


# On the machine with the disks


def test_the_directory_of_the_backups_has_the_registrys_owner(registry, tmp_path):
    registry.documented(
        "docs/backup.md",
        "install -d -m 700 -o 1000 -g 1000 /volume2/backups/registry",
        replace={"/volume2": tmp_path},
    )

    made = (tmp_path / "backups/registry").stat()
    assert (stat.S_IMODE(made.st_mode), made.st_uid, made.st_gid) == (0o700, 1000, 1000)


def test_the_file_with_the_log_ins_of_a_nomad_client_is_roots_alone(registry, tmp_path):
    registry.documented(
        "docs/clients.md", "mkdir -p -m 0700 /opt/nomad/registry_auth", replace={"/opt": tmp_path}
    )

    folder = tmp_path / "nomad/registry_auth"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert json.loads((folder / "config.json").read_text()) == {}


def test_a_missing_directory_of_a_repository_is_made(registry):
    home = registry.cluster.instance.registry_volume / "docker/registry/v2/repositories"
    (home / "documented/_manifests").mkdir(parents=True)
    made = block(
        OPERATIONS,
        "install -d -o 1000 -g 1000 "
        "/volume1/nomad/volumes/registry_data/docker/registry/v2/repositories/NAME/_layers",
    )
    registry.shell(made.text, replace={"NAME": "documented"})
    layers = home / "documented/_layers"
    assert (layers.stat().st_uid, layers.stat().st_gid) == (1000, 1000)
    registry.remove_repositories("documented")


@pytest.mark.parametrize("part", [each for each in every_block() if each.is_client_configuration], ids=str)
def test_nomad_takes_a_clients_configuration(cluster, part, tmp_path):
    """Beside what an agent cannot do without. A plugin reads its part as it starts: the cluster's did."""
    folder = tmp_path / "nomad.d"
    folder.mkdir()
    (folder / "base.hcl").write_text(f'data_dir = "{tmp_path}"\nclient {{ enabled = true }}\n')
    (folder / "part.hcl").write_text(part.text)

    checked = subprocess.run(
        ["nomad", "config", "validate", str(folder)],
        env=cluster.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    running = (cluster.root / "nomad/nomad.json").read_text()
    assert [key for key in re.findall(r"(\w+) +=", part.text) if f'"{key}": ' not in running] == []


# For contributors


def test_the_generated_pages_are_written_anew_as_contributing_says(registry, tmp_path):
    wanted = ["README.md", "Pulumi.yaml", "docs", "tests", "config", "ops", "checks", "jobs", "monitoring"]
    for name in wanted:
        source = REPOSITORY / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / ".venv/bin/python").chmod(0o755)
    pages = [tmp_path / "README.md", tmp_path / "docs/stack.schema.json"]
    before = [page.read_text() for page in pages]
    pages[0].write_text(before[0].replace("| `registry.name` |", "| `registry.nam` |"))
    pages[1].write_text("{}")

    registry.shell(
        f"cd {tmp_path}\n"
        + block("CONTRIBUTING.md", "PYTHONPATH=. .venv/bin/python tests/unit/test_readme.py").text
    )

    assert [page.read_text() for page in pages] == before

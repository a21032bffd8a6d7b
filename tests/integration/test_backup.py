"""Backups: small, tried out, and restored without losing what is live."""

import json
import os
import shutil
import tarfile

import httpx
import hvac
import pytest
from documents import block
from waiting import until

from devcluster.restic_image import program_file

JOBS = [f"docker-registry-{kind}" for kind in ("backup", "drill", "snapshots", "restore")]
SECRET = "docker-registry/backup"
MEBIBYTE = 1024**2
NEVER = {"schedule": "17 2 1 1 *", "drill": "17 3 1 1 *"}  # not beside the tests
PAGE = "docs/backup.md"
BACK_UP, LIST, RESTORE = block(
    "docs/operations.md", "python -m ops backup now", under="Backup and restore"
).commands
SHOW_PASSWORD = block(PAGE, "vault kv get -field=password secret/docker-registry/backup").text


@pytest.fixture(scope="module")
def registry(deployment):
    before = deployment.settings_text()
    deployment.change("maintenance", backup=NEVER)
    deployment.up()
    deployment.wait_until_served()
    deployment.login(deployment.address)
    yield deployment
    deployment.restore(before)
    deployment.up()


@pytest.fixture(scope="module")
def push(registry, tmp_path_factory):
    """Push an image with one layer of random bytes; gives its reference by digest."""

    def push(repository, tag, size):
        folder = tmp_path_factory.mktemp("image")
        (folder / "file").write_bytes(os.urandom(size * MEBIBYTE))
        with tarfile.open(folder / "layer.tar", "w") as layer:
            layer.add(folder / "file", "file")
        reference = f"{registry.address}/{repository}:{tag}"
        registry.crane("append", "--new_layer", str(folder / "layer.tar"), "--new_tag", reference)
        return f"{registry.address}/{repository}@{registry.crane('digest', reference).split()[-1]}"

    return push


@pytest.fixture(scope="module")
def images(push):
    return [push("backup/app", "one", 10), push("backup/base", "one", 10)]


@pytest.fixture
def pulls(registry, tmp_path):
    """Pull an image by its digest; crane checks every blob's content."""
    return lambda reference: registry.crane("pull", reference, str(tmp_path / "image.tar"))


@pytest.fixture(scope="module")
def vault(registry):
    return hvac.Client(url=registry.cluster.vault_address, token=registry.cluster.vault_token)


def ops(registry, *arguments, **options):
    return registry.run("python", "-m", "ops", *arguments, "--stack", "dev", **options)


def snapshots(registry):
    return json.loads(ops(registry, "backup", "list", "--json"))


def size(folder):
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def backups(registry):
    return registry.cluster.instance.backup_volume / "docker-registry"


def store(registry):
    return registry.cluster.instance.registry_volume / "docker"


def files(folder):
    return {each: each.stat().st_mtime_ns for each in folder.rglob("*") if each.is_file()}


def tags(registry, repository):
    return registry.crane("ls", f"{registry.address}/{repository}").split()


def drill_check(registry, status):
    """What the drill told Consul, whose catalogue has it a moment later."""
    url = f"{registry.cluster.consul_address}/v1/health/checks/registry-drill"
    (found,) = until(lambda: [each for each in httpx.get(url).json() if each["Status"] == status])
    return found["Output"]


def added(registry):
    """How much the repository of the backups grows by one backup, in bytes."""
    before = size(backups(registry))
    ops(registry, "backup", "now")
    return size(backups(registry)) - before


def test_a_first_backup_has_every_byte_of_the_store(registry, images):
    told = registry.shell(BACK_UP)

    assert "MiB of it new; 1 snapshots are kept" in told
    assert size(backups(registry)) > 20 * MEBIBYTE
    assert [each["tags"] for each in snapshots(registry)] == [[]]
    assert snapshots(registry)[0]["id"][:8] in registry.shell(LIST)


def test_a_backup_of_an_unchanged_store_adds_less_than_a_hundredth(registry, images):
    assert added(registry) < size(store(registry)) / 100


def test_a_backup_of_one_new_layer_adds_about_that_layer(registry, images, push):
    images.append(push("backup/app", "two", 4))

    assert 4 * MEBIBYTE < added(registry) < 4.2 * MEBIBYTE


def test_a_drill_reads_the_newest_snapshot_back_and_tells_consul(registry, images):
    told = ops(registry, "backup", "verify")

    assert "can be restored: " in told
    assert drill_check(registry, "passing") in told


def test_the_password_is_in_vault_alone_and_no_job_can_change_it(registry, vault):
    password = vault.secrets.kv.v2.read_secret_version(path=SECRET, raise_on_deleted_version=True)["data"]
    shown = "".join(httpx.get(f"{registry.cluster.nomad_address}/v1/job/{job}").text for job in JOBS)
    shown += registry.containers("--all")
    shown += registry.run("pulumi", "stack", "export", "--stack", "dev", "--show-secrets")

    assert "jobs.tasks.restore" in shown
    assert password["data"]["password"] not in shown
    assert registry.shell(SHOW_PASSWORD).strip() == password["data"]["password"]
    policy = vault.sys.read_policy("docker-registry-backup")["data"]["rules"]
    token = vault.auth.token.create(policies=["docker-registry-backup"])["auth"]["client_token"]
    with pytest.raises(hvac.exceptions.Forbidden):
        hvac.Client(url=registry.cluster.vault_address, token=token).secrets.kv.v2.create_or_update_secret(
            path=SECRET, secret={"password": "mine"}
        )
    assert '"update"' not in policy


def test_a_restore_says_what_it_changes_and_asks(registry, images, push):
    push("backup/app", "three", 1)
    before = files(store(registry))

    told = registry.shell(RESTORE, text="n\n", check=False)
    assert "restores everything from snapshot " in told
    assert "  backup/app\n    go: three\n" in told
    assert files(store(registry)) == before


def test_after_the_volume_was_wiped_a_restore_brings_back_every_image(registry, images, pulls):
    shutil.rmtree(store(registry))

    told = registry.shell(RESTORE, text="y\n")
    assert "backup/base\n    come back: one\n" in told
    registry.wait_until_served()
    for reference in images:
        pulls(reference)
    assert "three" not in tags(registry, "backup/app")


def test_a_link_in_the_store_leads_no_restore_to_a_secret(registry, vault):
    tags_folder = store(registry) / "registry/v2/repositories/backup/app/_manifests/tags"
    links = {
        "token": tags_folder / "token/current/link",  # to a file, and to a folder on the way
        "password": tags_folder / "password/current",
        "pipe": tags_folder / "pipe/current/link",
    }
    for link in links.values():
        link.parent.mkdir(parents=True)
    links["token"].symlink_to("/secrets/vault_token")
    links["password"].symlink_to("/secrets")
    (tags_folder / "cut/current").mkdir(parents=True)
    (tags_folder / "cut/current/link").write_text("hvs.planted")
    os.mkfifo(links["pipe"])
    owner = tags_folder.stat()  # as whom the registry would have written it
    for tag in ("token", "password", "pipe", "cut"):
        for path in (tags_folder / tag, *(tags_folder / tag).rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    before = sorted(set(tags(registry, "backup/app")) - {"token", "password", "pipe", "cut"})
    password = vault.secrets.kv.v2.read_secret_version(path=SECRET)["data"]["data"]["password"]
    try:
        ops(registry, "backup", "now")
        told = ops(registry, "restore", "latest", "--repository", "backup/app", "--yes", check=False)
        for link in links.values():
            path = link.relative_to(store(registry).parent)
            assert f"{path} is neither a file nor a directory, and is left out" in told
        assert "backup/app:cut is no digest" in told
        ops(registry, "restore", "latest", "--repository", "backup/app", "--yes", "--accept-damage")
        assert [each for each in links.values() if os.path.lexists(each)] == []
    finally:
        for tag in ("token", "password", "pipe", "cut"):
            shutil.rmtree(tags_folder / tag, ignore_errors=True)
    registry.wait_until_served()
    assert not [secret for secret in (password, "hvs.", "eyJ") if secret in told]
    assert sorted(tags(registry, "backup/app")) == before
    ops(registry, "backup", "now")  # without what was planted


def test_one_repository_is_restored_and_mended_beside_what_the_others_got_since(
    registry, images, push, pulls
):
    newer = push("backup/base", "newer", 1)
    push("backup/app", "unwanted", 1)
    shutil.rmtree(store(registry) / "registry/v2/repositories/backup/app/_manifests/tags/one")
    layer = json.loads(registry.crane("manifest", images[0]))["layers"][0]["digest"].partition(":")[2]
    (store(registry) / "registry/v2/blobs/sha256" / layer[:2] / layer / "data").write_bytes(b"rotten")

    told = ops(registry, "restore", "latest", "--repository", "backup/app", "--yes")
    assert "    come back: one\n    go: unwanted\n" in told
    assert "backup/base" not in told
    registry.wait_until_served()
    assert sorted(tags(registry, "backup/app")) == ["one", "two"]
    for reference in (images[0], newer):
        pulls(reference)


def test_restic_reads_the_backups_without_the_registry(registry, images, tmp_path):
    listing, restoring = block(PAGE, "restic -r /volume2/backups/registry/docker-registry snapshots").commands
    here = {"/volume2/backups/registry": backups(registry).parent, "restic -r": f"{program_file()} -r"}
    asked = {"text": registry.shell(SHOW_PASSWORD).strip() + "\n", "env": {"HOME": str(tmp_path)}}

    assert snapshots(registry)[-1]["id"][:8] in registry.shell(listing, replace=here, **asked)
    registry.shell(restoring, replace={**here, "/tmp/images": tmp_path / "images"}, **asked)
    digest = images[0].rpartition(":")[2]
    assert [file for file in tmp_path.rglob(f"{digest}/data") if file.stat().st_size > 0]


def test_what_a_restore_replaced_can_be_had_back_but_its_damage_has_to_be_accepted(registry):
    *_, undo = [each for each in snapshots(registry) if each["tags"] == ["before-restore"]]

    told = ops(registry, "restore", undo["id"][:8], "--yes", check=False)
    assert " has other content: " in told
    ops(registry, "restore", undo["id"][:8], "--yes", "--accept-damage")
    registry.wait_until_served()
    assert "unwanted" in tags(registry, "backup/app")


def test_a_corrupted_snapshot_is_refused_and_the_live_images_stay(registry, push, pulls):
    live = push("backup/app", "live", 1)
    pack = max(
        (backups(registry) / "data").rglob("*"), key=lambda each: each.is_file() and each.stat().st_size
    )
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 0xFF
    pack.chmod(0o600)
    pack.write_bytes(content)
    before = files(store(registry))

    told = ops(registry, "restore", "latest", "--yes", check=False)
    assert "is damaged, and nothing was changed" in told
    assert files(store(registry)) == before
    registry.wait_until_writable()
    pulls(live)


def test_a_drill_that_fails_says_why_to_consul(registry):
    told = ops(registry, "backup", "verify", check=False)

    output = drill_check(registry, "critical")
    assert "cannot be restored: restic dump: " in output
    assert output in "\n".join(line.strip() for line in told.splitlines())
    found = registry.doctor()["reports-good"]
    assert (found["state"], found["fix"]) == ("warning", "python -m ops backup verify --stack dev")
    assert "cannot be restored: restic dump: " in found["what"]


def test_backups_inside_the_directory_of_the_images_are_refused_at_preview(registry):
    before = registry.settings_text()
    try:
        registry.change("maintenance", backup={"volume": "registry_data"})
        told = registry.run("pulumi", "preview", "--stack", "dev", check=False)
    finally:
        registry.restore(before)
    assert "docker-registry:maintenance.backup.volume: " in told
    assert "what destroys one destroys the other" in told


def test_a_preview_shows_nothing_after_the_jobs_ran(registry):
    registry.run("pulumi", "preview", "--stack", "dev", "--expect-no-changes")


def test_without_backups_in_the_settings_the_snapshots_and_their_password_stay(registry, vault):
    before = registry.settings_text()
    try:
        registry.change("maintenance", backup=None)
        registry.up()
        for job in JOBS:
            assert httpx.get(f"{registry.cluster.nomad_address}/v1/job/{job}").status_code == 404
        check = f"{registry.cluster.consul_address}/v1/health/checks/registry-drill"
        until(lambda: httpx.get(check).json() == [])  # the catalogue has it a moment later
        assert "docker-registry-backup" not in vault.sys.list_policies()["data"]["policies"]
        assert vault.secrets.kv.v2.read_secret_version(path=SECRET, raise_on_deleted_version=True)
        assert (backups(registry) / "config").exists()
    finally:
        registry.restore(before)
        registry.up()
    assert snapshots(registry)


def test_the_password_can_be_removed_and_put_back(registry):
    password = registry.shell(SHOW_PASSWORD).strip()

    registry.documented(PAGE, "vault kv metadata delete secret/docker-registry/backup")

    registry.shell(SHOW_PASSWORD, check=False)
    registry.shell("vault kv put secret/docker-registry/backup password=-", text=password)
    assert registry.shell(SHOW_PASSWORD).strip() == password

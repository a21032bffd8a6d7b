import json

import pytest

from ops.docker_config import DockerConfigError, remove_tokens, store_token

HERE, THERE = "registry.homelab.local:5000", "registry.homelab.local"
OTHER = {"auth": "YWxpY2U6c2VjcmV0"}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "docker" / "config.json"


def write(file, config):
    file.parent.mkdir(exist_ok=True)
    file.write_text(config if isinstance(config, str) else json.dumps(config))


def test_a_token_is_stored_for_each_address_in_a_file_of_its_user_only(file):
    store_token(file, [HERE, THERE], "signed")

    assert json.loads(file.read_text()) == {
        "auths": {HERE: {"registrytoken": "signed"}, THERE: {"registrytoken": "signed"}}
    }
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_other_registries_and_settings_stay_as_they_are(file):
    before = {"auths": {"docker.io": OTHER}, "credsStore": "pass", "proxies": {"default": {"noProxy": "*"}}}
    write(file, before)

    store_token(file, [HERE], "signed")

    after = json.loads(file.read_text())
    assert after["auths"].pop(HERE) == {"registrytoken": "signed"}
    assert after == before


def test_a_password_for_the_address_gives_way_to_the_token(file):
    write(file, {"auths": {HERE: {**OTHER, "identitytoken": "old"}}})

    store_token(file, [HERE], "signed")

    assert json.loads(file.read_text())["auths"][HERE] == {"registrytoken": "signed"}


def test_a_file_that_others_could_read_is_its_users_only_afterwards(file):
    write(file, {})
    file.chmod(0o644)

    store_token(file, [HERE], "signed")

    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["config.json"]


def test_a_link_to_the_file_stays_a_link(file, tmp_path):
    write(file, {"auths": {"docker.io": OTHER}})
    link = tmp_path / "link.json"
    link.symlink_to(file)

    store_token(link, [HERE], "signed")

    assert link.is_symlink()
    assert set(json.loads(file.read_text())["auths"]) == {"docker.io", HERE}


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": [1]}'])
def test_a_file_that_is_not_dockers_is_refused_and_kept(file, text):
    write(file, text)

    with pytest.raises(DockerConfigError, match="is no configuration of docker: mend it"):
        store_token(file, [HERE], "signed")
    assert file.read_text() == text


@pytest.mark.parametrize("text", ["", "{}", '{"auths": null}'])
def test_an_empty_file_is_filled(file, text):
    write(file, text)

    store_token(file, [HERE], "signed")

    assert json.loads(file.read_text())["auths"] == {HERE: {"registrytoken": "signed"}}


def test_logging_out_removes_tokens_and_no_password(file):
    write(file, {"auths": {HERE: {"registrytoken": "signed"}, THERE: OTHER, "docker.io": OTHER}})

    assert remove_tokens(file, [HERE, THERE]) == [HERE]
    assert json.loads(file.read_text()) == {"auths": {THERE: OTHER, "docker.io": OTHER}}


def test_logging_out_makes_no_file(file):
    assert remove_tokens(file, [HERE]) == []
    assert not file.exists()

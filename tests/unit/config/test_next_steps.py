import re
import shlex

import pytest

from config.next_steps import next_steps

# OCI distribution specification, "Pulling manifests".
REPOSITORY = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII)


@pytest.mark.parametrize(
    ("user", "repository"),
    [
        *(("alice", "alice/hello"), ("ci-app.7", "ci-app.7/hello"), ("a__b", "a__b/hello")),
        *(("Alice", "hello"), ("alice@example.org", "hello"), ("jörg", "hello"), ("a___b", "hello")),
        *(("-x", "hello"), ("o'neill", "hello"), ("a/b", "hello"), ("$(id)", "hello"), ("²", "hello")),
    ],
)
def test_every_user_is_told_of_an_image_that_there_can_be(read_settings, bcrypt_hash, user, repository):
    steps = next_steps(read_settings(auth={"users": {user: bcrypt_hash}}))

    pushed = next(line.split()[2] for line in steps.splitlines() if "docker push" in line)
    assert pushed == f"registry.homelab.local/{repository}:1"
    assert REPOSITORY.fullmatch(repository)
    login = next(line for line in steps.splitlines() if "docker login" in line)
    assert shlex.split(login) == ["docker", "login", "--username", user, "registry.homelab.local"]

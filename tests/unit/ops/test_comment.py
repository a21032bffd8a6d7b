import pytest

from checks.errors import CheckError
from ops.comment import _api


def test_outside_of_a_workflow_a_comment_is_refused_with_what_is_missing():
    with pytest.raises(CheckError, match="GITHUB_REPOSITORY, GITHUB_TOKEN is not set"):
        _api({"GITHUB_API_URL": "https://api.example"})


def test_the_api_of_a_forge_is_asked_for_the_repository_with_the_token():
    environment = {"GITHUB_API_URL": "https://git/api/v1", "GITHUB_REPOSITORY": "me/it", "GITHUB_TOKEN": "t"}

    with _api(environment) as api:
        assert str(api.base_url) == "https://git/api/v1/repos/me/it/"
        assert api.headers["Authorization"] == "token t"

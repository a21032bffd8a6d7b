import httpx
import pytest

from checks.errors import CheckError
from ops.comment import _MARK, _api, _own


def test_outside_of_a_workflow_a_comment_is_refused_with_what_is_missing():
    with pytest.raises(CheckError, match="GITHUB_REPOSITORY, GITHUB_TOKEN is not set"):
        _api({"GITHUB_API_URL": "https://api.example"})


def test_the_api_of_a_forge_is_asked_for_the_repository_with_the_token():
    environment = {"GITHUB_API_URL": "https://git/api/v1", "GITHUB_REPOSITORY": "me/it", "GITHUB_TOKEN": "t"}

    with _api(environment) as api:
        assert str(api.base_url) == "https://git/api/v1/repos/me/it/"
        assert api.headers["Authorization"] == "token t"


ROBOT, PERSON = {"login": "github-actions[bot]", "id": 41898282}, {"login": "mallory", "id": 7}
OF_GITEA = {"login": "gitea-actions", "id": -2}


@pytest.mark.parametrize(
    ("me", "users", "own"),
    [
        (None, [PERSON, ROBOT], 2),
        (None, [PERSON, OF_GITEA], 2),
        (None, [PERSON], None),
        (None, [None, {"login": "github-actions", "id": 8}], None),
        ({"id": 9}, [PERSON, ROBOT, {"login": "deployer", "id": 9}], 3),
    ],
    ids=["GitHub", "Gitea", "only another person's", "nobody, and a person of that name", "a person's token"],
)
def test_only_a_comment_by_the_tokens_owner_is_written_anew(me, users, own):
    comments = [{"id": 20, "body": None, "user": ROBOT}, {"id": 21, "body": "fine", "user": ROBOT}]
    comments += [
        {"id": index, "body": f"{_MARK}\nold", "user": user} for index, user in enumerate(users, start=1)
    ]

    def answer(request):
        if request.url.path == "/api/v1/user":
            return httpx.Response(200, json=me) if me else httpx.Response(403, json={"message": "no"})
        return httpx.Response(200, json=comments)

    with httpx.Client(
        base_url="https://git/api/v1/repos/me/it/", transport=httpx.MockTransport(answer)
    ) as api:
        assert _own(api, 7) == own

"""`ops comment`: one comment at a pull request, on GitHub and on Gitea, whose APIs agree in this."""

import os
import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import httpx
import typer

from checks.errors import CheckError
from checks.proxies import EnvironmentTransport

Number = Annotated[int, typer.Argument(metavar="NUMBER", help="Number of the pull request.")]

_MARK = "<!-- docker-registry: ops comment -->"  # by which the comment is found again; readers do not see it
# Who writes with a workflow's own token. No person can have that name, or that id.
_GITHUB_ROBOT = "github-actions[bot]"
_GITEA_ROBOT = -2  # Gitea and Forgejo, models/user/user_system.go: ActionsUserID
_TIMEOUT_SECONDS = 30
_PAGE = 100  # GitHub's most (REST API: Issue comments)
_LONGEST = 65_000  # characters; GitHub refuses more than 65,536


def comment(number: Number) -> None:
    """Write what comes on standard input as a comment, in place of the one of the last run.

    Takes GITHUB_API_URL, GITHUB_REPOSITORY and GITHUB_TOKEN, which workflows have.
    """
    text = sys.stdin.read()
    body = f"{_MARK}\n{text[:_LONGEST]}" + ("\n\n(cut off)" if len(text) > _LONGEST else "")
    with _api(os.environ) as api:
        if found := _own(api, number):
            _send(api, "PATCH", f"issues/comments/{found}", body=body)
        else:
            _send(api, "POST", f"issues/{number}/comments", body=body)


def _api(environment: Mapping[str, str]) -> httpx.Client:
    names = ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN")
    if missing := [name for name in names if not environment.get(name)]:
        raise CheckError(
            f"{', '.join(missing)} is not set: this is for a workflow of GitHub or Gitea Actions"
        )
    url, repository, token = (environment[name] for name in names)
    return httpx.Client(
        base_url=f"{url.rstrip('/')}/repos/{repository}/",
        headers={"Authorization": f"token {token}", "Accept": "application/json"},
        timeout=_TIMEOUT_SECONDS,
        transport=EnvironmentTransport(),
    )


def _own(api: httpx.Client, number: int) -> int | None:
    """Find the comment of an earlier run; whoever quotes one has its mark too."""
    author = _author(api)
    path: str | None = f"issues/{number}/comments?per_page={_PAGE}"
    while path:
        answer = _send(api, "GET", path)
        for each in answer.json():
            if (each["body"] or "").startswith(_MARK) and _wrote(author, each["user"] or {}):
                identifier: int = each["id"]
                return identifier
        path = answer.links.get("next", {}).get("url")
    return None


def _author(api: httpx.Client) -> int | None:
    """Ask whose token it is; None for a workflow's own, which may not ask that."""
    try:
        answer = api.get(str(api.base_url).partition("/repos/")[0] + "/user")
        return int(answer.json()["id"]) if answer.is_success else None
    except (httpx.TransportError, ValueError, TypeError, KeyError):
        return None


def _wrote(author: int | None, user: Mapping[str, Any]) -> bool:
    if author is not None:
        return bool(user.get("id") == author)
    return user.get("login") == _GITHUB_ROBOT or user.get("id") == _GITEA_ROBOT


def _send(api: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:
    try:
        answer = api.request(method, path, json=content or None)
    except httpx.TransportError as error:
        raise CheckError(f"{api.base_url} does not answer: {error}") from None
    if not answer.is_success:
        reason = re.sub(r"\s+", " ", answer.text)[:300]
        raise CheckError(
            f"{method} {answer.url} answered {answer.status_code}: {reason} "
            "(the workflow needs `permissions: pull-requests: write`)"
        )
    return answer

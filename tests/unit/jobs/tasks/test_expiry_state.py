import json

import pytest

from jobs.tasks.expiry_state import mend, prune

BLOB, MANIFEST = 0, 1
KEPT, GONE = (f"sha256:{letter * 64}" for letter in "ab")


@pytest.fixture
def pruned(tmp_path):
    """Mend and prune a state file; gives its text afterwards, None without one."""
    file = tmp_path / "scheduler-state.json"

    def make(text):
        if text is not None:
            file.write_text(text)
        mend(tmp_path)
        prune(
            tmp_path,
            has_manifest=lambda repository, digest: (repository, digest) == ("library/app", KEPT),
            has_blob=lambda repository, digest: (repository, digest) == ("localhost:5000/app", KEPT),
        )
        assert [each for each in tmp_path.iterdir() if each != file] == []
        return file.read_text() if file.exists() else None

    return make


def entries(*written):
    return {
        f"{repository}@{digest}": {
            "Key": f"{repository}@{digest}",
            "ExpiryData": "2026-12-01T15:58:13.117185317Z",
            "EntryType": kind,
        }
        for repository, digest, kind in written
    }


def test_what_is_there_goes_on_to_expire_and_what_is_not_does_not(pruned):
    there = entries(("library/app", KEPT, MANIFEST), ("localhost:5000/app", KEPT, BLOB))
    gone = entries(
        ("library/app", GONE, MANIFEST), ("library/other", KEPT, MANIFEST), ("localhost:5000/app", GONE, BLOB)
    )

    assert json.loads(pruned(json.dumps({**there, **gone}))) == there


def test_a_file_with_nothing_to_drop_stays_as_it_is(pruned):
    text = json.dumps(entries(("library/app", KEPT, MANIFEST)), indent=7)

    assert pruned(text) == text
    assert pruned("{}") == "{}"


def test_a_cache_without_the_file_needs_none(pruned):
    assert pruned(None) is None


@pytest.mark.parametrize("text", ["", "{", "null", "[]", '{"app@sha256:a": 1}', "\0", "[" * 100_000])
def test_a_file_that_the_registry_would_not_start_with_goes(pruned, capsys, text):
    assert pruned(text) is None
    assert "cannot be read" in capsys.readouterr().out


def test_an_unreadable_file_that_nobody_mended_is_no_reason_to_stop(tmp_path):
    (tmp_path / "scheduler-state.json").write_text("{")

    prune(tmp_path, has_manifest=lambda *_: True, has_blob=lambda *_: True)


def prune_nothing(directory):
    prune(directory, has_manifest=lambda *_: False, has_blob=lambda *_: False)


def test_a_link_in_its_place_goes_and_what_it_leads_to_stays(tmp_path, capsys):
    secret, file = tmp_path / "secret", tmp_path / "cache" / "scheduler-state.json"
    secret.write_text("hvs.secret")
    file.parent.mkdir()
    file.symlink_to(secret)

    prune_nothing(file.parent)
    assert file.is_symlink()
    mend(file.parent)
    assert [*file.parent.iterdir()] == []
    assert secret.read_text() == "hvs.secret"
    assert "hvs.secret" not in capsys.readouterr().out


def test_a_file_with_more_entries_than_there_is_memory_for_stays_as_it_is(tmp_path):
    file = tmp_path / "scheduler-state.json"
    file.write_text(json.dumps(entries(("library/app", GONE, MANIFEST))) + 16 * 1024**2 * " ")
    before = file.stat()

    mend(tmp_path)
    prune_nothing(tmp_path)
    assert (file.stat().st_size, file.stat().st_ino) == (before.st_size, before.st_ino)

import json

import pytest

from jobs.tasks.predict_collection import main
from jobs.tasks.store import Store
from jobs.tasks.store_size import Size, store_size

COUNT = "\n{marked} blobs marked, {blobs} blobs and {manifests} manifests eligible for deletion\n"


@pytest.fixture
def predict(tmp_path, capsys):
    """Run the script on what a dry run wrote; gives its exit code and the lines that it printed."""

    def run(output, **environment):
        (tmp_path / "output").write_text(output)
        code = main({"OUTPUT": str(tmp_path / "output"), **environment})
        printed = capsys.readouterr()
        return code, (printed.out + printed.err).splitlines()

    return run


def output(*digests, blobs=None):
    count = len(digests) if blobs is None else blobs
    lines = ["app", "app: marking manifest sha256:0f ", COUNT.format(marked=3, blobs=count, manifests=1)]
    lines += [f"blob eligible for deletion: {digest}" for digest in digests]
    return "\n".join([*lines, "app: layer link eligible for deletion: sha256:77", ""])


def test_the_blobs_of_a_dry_run_are_measured_in_the_store(predict, images):
    digests = [images.blob(b"1" * 1000), images.blob(b"2" * 48)]

    code, lines = predict(output(*digests), STORE=str(images.directory))

    assert code == 0
    assert lines[0] == "a run would free 2 blobs, 1.0 KiB"
    assert json.loads(lines[1]) == {"would_free": {"blobs": 2, "bytes": 1048}}


def test_of_a_store_that_is_not_on_a_volume_only_the_blobs_are_told(predict):
    code, lines = predict(output("sha256:11", "sha256:22"))

    assert (code, lines[0]) == (0, "a run would free 2 blobs")
    assert json.loads(lines[1]) == {"would_free": {"blobs": 2}}


@pytest.mark.parametrize("text", ["", "app\n", output("sha256:11", blobs=2)])
def test_a_dry_run_that_was_cut_off_predicts_nothing(predict, text):
    code, lines = predict(text)

    assert code == 1
    assert "did not come to its end" in lines[0]


def test_a_dry_run_that_never_began_predicts_nothing(tmp_path, capsys):
    assert main({"OUTPUT": str(tmp_path / "output")}) == 1
    assert "did not come to its end" in capsys.readouterr().err


def test_a_layer_with_two_names_goes_with_the_last_of_them(predict, images):
    images.manifests("app").mkdir(parents=True)
    alias = images.by_sha512("app", b"layer")  # a run gives it the other name first
    kept, other = images.blob(b"layer"), images.blob(b"1" * 48)

    def told(*digests):
        return predict(output(*digests), STORE=str(images.directory))[1][0]

    assert told(kept, other) == "a run would free 1 blob, 48 B"
    assert told(kept, alias, other) == "a run would free 2 blobs, 53 B"

    Store(images.directory).own("app", alias, kept)
    assert store_size(images.directory) == Size(2, 53)
    assert told(kept, other) == "a run would free 1 blob, 48 B"
    assert told(kept, alias, other) == "a run would free 2 blobs, 53 B"

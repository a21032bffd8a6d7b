import pytest

from jobs.tasks.store_size import Size, SizeError, readable, remembered, store_size


def test_every_blob_counts_once(images):
    images.image("app", "1", "a" * 100)
    images.image("other", "1", "a" * 100)

    found = store_size(images.directory)

    sizes = [file.stat().st_size for file in images.root.glob("blobs/sha256/*/*/data")]
    assert found == Size(len(sizes), sum(sizes))


def test_a_store_without_an_image_is_empty(tmp_path):
    assert store_size(tmp_path) == Size(0, 0)


def test_a_folder_that_is_left_without_its_blob_does_not_count(images):
    digest = images.blob(b"12345")
    (file,) = images.root.glob(f"blobs/sha256/*/{digest.removeprefix('sha256:')}/data")
    file.unlink()

    assert store_size(images.directory) == Size(0, 0)


def test_a_store_that_cannot_be_read_is_said(tmp_path):
    (tmp_path / "docker" / "registry" / "v2").mkdir(parents=True)
    (tmp_path / "docker" / "registry" / "v2" / "blobs").write_text("no folder")

    with pytest.raises(SizeError, match=r"cannot read .*blobs: Not a directory"):
        store_size(tmp_path)


def test_without_a_measure_before_there_is_none(tmp_path):
    assert remembered({"NOMAD_ALLOC_DIR": str(tmp_path)}) is None


@pytest.mark.parametrize("text", ["", '{"blobs": 1', "\0\0"])
def test_a_measure_that_was_cut_by_a_kill_is_none(tmp_path, text):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "size-before.json").write_text(text)

    assert remembered({"NOMAD_ALLOC_DIR": str(tmp_path)}) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 1024**3, "3.0 GiB"), (2 * 1024**4, "2.0 TiB")],
)
def test_bytes_are_written_as_people_read_them(count, text):
    assert readable(count) == text

from devcluster.files import PRIVATE, write


def test_a_file_with_the_same_content_and_mode_is_not_written_again(tmp_path):
    file = tmp_path / "folder" / "secret"
    assert write(file, "text", mode=PRIVATE)
    before = file.stat().st_mtime_ns, file.stat().st_ino
    assert not write(file, "text", mode=PRIVATE)
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before


def test_a_private_file_is_readable_by_its_owner_only(tmp_path):
    file = tmp_path / "secret"
    file.write_text("text")
    assert write(file, "text", mode=PRIVATE)
    assert file.stat().st_mode & 0o777 == 0o600


def test_nothing_but_the_file_is_left_in_its_folder(tmp_path):
    write(tmp_path / "one", "1")
    write(tmp_path / "one", "2")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert (tmp_path / "one").read_text() == "2"

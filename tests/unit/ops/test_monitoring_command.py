SERVERS = {
    "nomad:address": "http://127.0.0.1:4646",
    "consul:address": "127.0.0.1:8500",
    "vault:address": "http://127.0.0.1:8200",
}


def test_the_files_are_written_and_their_paths_printed(ops, pulumi, tmp_path):
    pulumi.configure({**SERVERS, "docker-registry:monitoring": "{}"})
    folder = tmp_path / "made" / "here"

    done = ops("monitoring", "--out", str(folder))

    assert done.exit_code == 0
    assert sorted(done.output.split()) == sorted(str(file) for file in folder.iterdir())
    assert "registry-exporter" in (folder / "prometheus-scrape.yml").read_text()


def test_a_directory_is_asked_for(ops):
    assert ops("monitoring").exit_code == 2

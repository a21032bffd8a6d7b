import json
import subprocess
from pathlib import Path

import yaml

from config.settings import Settings
from devcluster.instance import Instance, Ports
from devcluster.stack import env_file, settings

INSTANCE = Instance(root=Path("/srv/cluster"), ports=Ports.shifted(1))


def read(text):
    """As the engine hands a stack file to the program."""
    config = yaml.safe_load(text)["config"]
    values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    return Settings.read("dev", values, {})


def test_the_generated_stack_file_is_accepted_by_the_program_and_names_this_clusters_ports():
    stack = read(settings(INSTANCE))
    assert stack.registry.port == INSTANCE.ports.registry
    assert stack.registry.debug_port == INSTANCE.ports.registry_debug
    assert str(stack.volume_path) == str(INSTANCE.registry_volume)


def test_root_gives_the_directory_to_an_ordinary_user_and_others_to_themselves():
    assert read(settings(INSTANCE, uid=0, gid=0)).storage.owner.uid == 1000
    assert read(settings(INSTANCE, uid=1017, gid=100)).storage.owner.uid == 1017


def test_a_shell_that_sources_the_env_file_has_every_value_as_it_is(tmp_path):
    values = {"VAULT_TOKEN": "s.a'b $HOME", "NOMAD_ADDR": "http://127.0.0.1:4646"}
    (tmp_path / "env").write_text(env_file(values))
    script = '. ./env; printf "%s\\n" "$VAULT_TOKEN" "$NOMAD_ADDR"'
    shell = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shell.stdout.splitlines() == list(values.values())

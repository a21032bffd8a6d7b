"""The program in a folder of its own, deployed to the tests' cluster, and the clients that look at it."""

import json
import shutil
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from devcluster.instance import HOSTNAME
from devcluster.stack import DEMO_USER, REPOSITORY, STACK, Stack

PROGRAM = ["Pulumi.yaml", "__main__.py", "components", "config", "jobs", "checks", "ops", "requirements.txt"]


@dataclass
class Deployment:
    """A stack whose settings a test may change, and that it puts back."""

    cluster: object
    stack: Stack

    @classmethod
    def make(cls, cluster):
        project = cluster.root / "project"
        project.mkdir()
        for name in PROGRAM:
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, project / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, project / name)
        stack = Stack(cluster=cluster.cluster, project=project)
        stack.configure()
        return cls(cluster, stack)

    # The engine

    def run(self, *command, check=True, env=None, text=None):
        """Run a command in the project with the cluster's environment; gives what it printed."""
        result = subprocess.run(
            command,
            cwd=self.stack.project,
            env={**self.cluster.env, **(env or {})},
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        output = result.stdout + result.stderr
        if check:
            assert result.returncode == 0, f"{' '.join(command)}: {output}"
        else:
            assert result.returncode != 0, f"{' '.join(command)} was to fail: {output}"
        return output

    def up(self, **options):
        return self.run("pulumi", "up", "--yes", "--skip-preview", "--stack", STACK, **options)

    def destroy(self):
        return self.run("pulumi", "destroy", "--yes", "--skip-preview", "--stack", STACK)

    def preview(self, **options):
        return self.run("pulumi", "preview", "--stack", STACK, **options)

    def changes(self):
        """What `pulumi up` would do, as {resource name: operation}, without what stays the same."""
        result = subprocess.run(
            ["pulumi", "preview", "--json", "--stack", STACK],
            cwd=self.stack.project,
            env=self.cluster.env,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        steps = json.loads(result.stdout)["steps"]
        return {
            step["urn"].rsplit("::", 1)[1]: step["op"]
            for step in steps
            if step["op"] not in ("same", "refresh")
        }

    # The settings

    def change(self, section, **values):
        """Change keys of one section of the stack file; a value of None removes the key."""
        content = yaml.safe_load(self.stack.file.read_text())
        settings = content["config"].setdefault(f"docker-registry:{section}", {})
        for key, value in values.items():
            settings.pop(key, None)
            if value is not None:
                settings[key] = value
        self.stack.file.write_text(yaml.safe_dump(content, sort_keys=False))

    def settings_text(self):
        return self.stack.file.read_text()

    def restore(self, text):
        self.stack.file.write_text(text)

    # The clients

    @property
    def ports(self):
        return self.cluster.instance.ports

    @property
    def address(self):
        return f"{HOSTNAME}:{self.ports.registry}"

    @property
    def tls_address(self):
        return f"{HOSTNAME}:{self.ports.traefik_tls}"

    @property
    def password(self):
        return self.stack.password_file.read_text()

    def login(self, address, user=DEMO_USER, password=None, check=True):
        return self.run(
            "docker",
            "login",
            "--username",
            user,
            "--password-stdin",
            address,
            text=password or self.password,
            check=check,
        )

    def docker(self, *arguments, check=True):
        return self.run("docker", *arguments, check=check)

    def crane(self, *arguments, check=True):
        env = {"SSL_CERT_FILE": str(self.cluster.instance.ca_certificate)}
        # The registry's own port speaks plain HTTP.
        plain = ["--insecure"] if any(self.address in argument for argument in arguments) else []
        return self.run("crane", *plain, *arguments, check=check, env=env)

    def allocation(self):
        """Id of the one running allocation of the registry."""
        allocations = httpx.get(f"{self.cluster.nomad_address}/v1/job/docker-registry/allocations").json()
        running = [each["ID"] for each in allocations if each["ClientStatus"] == "running"]
        assert len(running) == 1, allocations
        return running[0]

    def wait_until_served(self, seconds=60):
        """Wait until both the port and Traefik answer; the catalogue needs a moment after a deploy."""
        deadline = time.monotonic() + seconds
        urls = [f"http://{self.address}/v2/", f"https://{self.tls_address}/v2/"]
        while time.monotonic() < deadline:
            if all(_status(url, self.cluster.instance.ca_certificate) == 401 for url in urls):
                return
            time.sleep(0.5)
        raise AssertionError(f"{urls} do not answer after {seconds} s")


def _status(url, ca: Path):
    try:
        return httpx.get(url, verify=ssl.create_default_context(cafile=ca)).status_code
    except httpx.HTTPError:
        return None

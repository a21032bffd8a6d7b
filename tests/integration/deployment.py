"""The program in a folder of its own, deployed to the tests' cluster, and the clients that look at it."""

import json
import re
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
import yaml
from documents import block
from waiting import until

from devcluster.instance import HOSTNAME
from devcluster.stack import DEMO_USER, REPOSITORY, STACK, Stack

PROGRAM = [
    "Pulumi.yaml",
    "__main__.py",
    "components",
    "config",
    "jobs",
    "checks",
    "monitoring",
    "ops",
    "requirements.txt",
]

# After these a failed check of Consul's is known: it asks for 2 s, and the registry needs a moment to listen.
RESTART_SEEN = timedelta(seconds=8)


@dataclass
class Deployment:
    """A stack whose settings a test may change, and that it puts back."""

    cluster: object
    stack: Stack
    settings_at_first: str

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
        return cls(cluster, stack, stack.file.read_text())

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

    def documented(self, page, name, *, under=None, **options):
        """Run the block of a document that begins with this line; gives what it printed."""
        return self.shell(block(page, name, under=under).text, **options)

    def shell(self, commands, *, replace=None, env=None, **options):
        """Run commands of a document, with this cluster in place of the names that documents use.

        What else differs here is in `replace`. Without a terminal each command that asks a question reads the
        answer from standard input; pulumi is told not to ask.
        """
        for old, new in (replace or {}).items():
            assert old in commands, f"{old} is not in: {commands}"
            commands = commands.replace(old, str(new))
        commands = re.sub(rf"(?<![\w.-]){re.escape(HOSTNAME)}(?=[/\s'\"]|$)", self.tls_address, commands)
        volume = str(self.cluster.instance.registry_volume)
        commands = re.sub(r"/volume1/nomad/volumes/(high_capacity/)?registry_data", volume, commands)
        commands = commands.replace("--stack homelab", f"--stack {STACK}")
        env = {
            "PULUMI_SKIP_CONFIRMATIONS": "true",
            "SSL_CERT_FILE": str(self.trusted),
            "CURL_CA_BUNDLE": str(self.trusted),
            "PATH": self.cluster.documents_path,
            **(env or {}),
        }
        return self.run("setsid", "--wait", "bash", "-euo", "pipefail", "-c", commands, env=env, **options)

    def up(self, **options):
        return self.run("pulumi", "up", "--yes", "--skip-preview", "--stack", STACK, **options)

    def destroy(self):
        return self.run("pulumi", "destroy", "--yes", "--skip-preview", "--stack", STACK)

    def preview(self, *arguments, **options):
        return self.run("pulumi", "preview", "--stack", STACK, *arguments, **options)

    def doctor(self, *options):
        """What `ops doctor` finds, by check; its exit code tells whether there is a failure."""
        result = subprocess.run(
            ["python", "-m", "ops", "doctor", "--json", "--stack", STACK, *options],
            cwd=self.stack.project,
            env=self.cluster.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert result.stdout, result.stderr
        found = json.loads(result.stdout)
        assert result.returncode == int(any(each["state"] == "failure" for each in found)), result.stderr
        assert self.password not in result.stdout + result.stderr
        return {each["id"]: each for each in found}

    def changes(self):
        """What `pulumi up` would do, as {resource name: operation}, without what stays the same."""
        result = subprocess.run(
            ["pulumi", "preview", "--json", "--stack", STACK],
            cwd=self.stack.project,
            env=self.cluster.env,
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
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

    def encrypt(self, path, secret):
        """Write a secret of the stack file as people have to: encrypted; `path` begins with its section."""
        self.run(
            *("pulumi", "config", "set", "--secret", "--path", f"docker-registry:{path}", "--stack", STACK),
            text=secret,
        )

    def remove(self, section):
        """Take a section out of the stack file."""
        content = yaml.safe_load(self.stack.file.read_text())
        del content["config"][f"docker-registry:{section}"]
        self.stack.file.write_text(yaml.safe_dump(content, sort_keys=False))

    def section(self, name):
        """A section of the stack file as it is written."""
        return yaml.safe_load(self.stack.file.read_text())["config"].get(f"docker-registry:{name}") or {}

    def settings_text(self):
        return self.stack.file.read_text()

    def restore(self, text):
        self.stack.file.write_text(text)

    # What is stored

    def remove_repositories(self, namespace):
        """Remove what was pushed below a name."""
        store = self.cluster.instance.registry_volume / "docker/registry/v2/repositories"
        shutil.rmtree(store / namespace, ignore_errors=True)

    def clear(self):
        """Leave nothing of a file of tests to the next one on this cluster, also if it failed half-way."""
        if self.settings_text() != self.settings_at_first:
            self.restore(self.settings_at_first)
            self.up()
        with httpx.Client(base_url=f"{self.cluster.nomad_address}/v1", timeout=30) as nomad:
            # A run goes on when its job is gone, and would freeze the registry or tell how it went once more.
            runs = [each["ID"] for each in nomad.get("/jobs").json() if each["ParentID"]]
            for run in runs:
                path = f"/job/{quote(run, safe='')}"
                nomad.delete(path, params={"purge": "true"}).raise_for_status()
            until(lambda: not [each for each in nomad.get("/allocations").json() if _goes_on(each, runs)])
            # A freeze, and how the last runs of jobs went: a new job of that name would be blamed for them.
            kept = nomad.get("/vars", params={"prefix": "nomad/jobs/docker-registry"}).raise_for_status()
            for variable in kept.json():
                nomad.delete(f"/var/{variable['Path']}").raise_for_status()
        self.wait_until_served()
        # The repository with its password: without the one, jobs refuse the other.
        shutil.rmtree(self.cluster.instance.backup_volume / "docker-registry", ignore_errors=True)
        password = f"{self.cluster.vault_address}/v1/secret/metadata/docker-registry/backup"
        headers = {"X-Vault-Token": self.cluster.vault_token}
        httpx.delete(password, headers=headers, timeout=30).raise_for_status()
        shutil.rmtree(self.cluster.instance.registry_volume / "docker", ignore_errors=True)
        # It remembers blobs. Not `restart`, which is refused while a template restarts it.
        self.run("nomad", "alloc", "stop", self.allocation())
        self.wait_until_writable()

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
    def port_address(self):
        """Host and port of the registry's own port, as a socket takes it."""
        access = self.section("access")
        return access.get("bind", "127.0.0.1"), self.ports.registry

    @property
    def traefik_address(self):
        return "127.0.0.1", self.ports.traefik_tls

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

    def containers(self, *options):
        """What docker tells of the containers that `docker ps` lists; some are gone before they are asked."""
        listed = self.docker("ps", "--quiet", *options).split()
        command = ["docker", "inspect", *listed]
        shown = subprocess.run(command, env=self.cluster.env, capture_output=True, text=True, check=False)
        assert json.loads(shown.stdout), shown.stderr
        return shown.stdout

    def crane(self, *arguments, check=True, config=None):
        """Run crane with the stack's authorities trusted, and the log-ins of a docker config folder."""
        env = {"SSL_CERT_FILE": str(self.trusted)}
        if config:
            env["DOCKER_CONFIG"] = str(config)
        plain = ["--insecure"] if any(self._is_plain(each) for each in arguments) else []
        return self.run("crane", *plain, *arguments, check=check, env=env)

    def _is_plain(self, argument):
        return self.tls_mode != "registry" and self.address in argument

    def output(self, name):
        return self.run("pulumi", "stack", "output", name, "--stack", STACK).strip()

    @property
    def tls_mode(self):
        return self.section("tls").get("mode", "traefik")

    @property
    def trusted(self):
        """A file with every authority of the cluster and of the deployed stack."""
        file = self.stack.project / "trusted.crt"
        text = self.cluster.instance.ca_certificate.read_text()
        if self.tls_mode == "registry":
            text += self.output("caCertificate") + "\n"
        if not file.exists() or file.read_text() != text:  # a thread of the test may be reading it
            file.write_text(text)
        return file

    def trust(self):
        """The same for httpx."""
        return ssl.create_default_context(cafile=self.trusted)

    @property
    def base_urls(self):
        """Where the deployed stack is served: the port itself and, with TLS, Traefik."""
        scheme = "https" if self.tls_mode == "registry" else "http"
        traefik = [] if self.tls_mode == "plain" else [f"https://{self.tls_address}"]
        return [f"{scheme}://{self.address}", *traefik]

    def allocation(self):
        """Id of the one allocation of the registry; `pending` is what Nomad calls one that restarts."""
        allocations = httpx.get(f"{self.cluster.nomad_address}/v1/job/docker-registry/allocations").json()
        running = [each["ID"] for each in allocations if _is_to_run(each, "running", "pending")]
        assert len(running) == 1, allocations
        return running[0]

    def wait_until_served(self, seconds=180, expected=401):
        """Wait until both the port and Traefik answer, and will go on to: Traefik follows Consul's checks.

        After a restart it still routes for some seconds before it notices that there was one. A restart that
        Nomad has not begun yet, as for a template, is not waited for.
        """
        urls, trust = self.base_urls, self.trust()

        def answers():
            return {url: _status(f"{url}/v2/", trust) for url in urls}

        try:
            until(lambda: set(answers().values()) == {expected} and self.is_healthy(), seconds, interval=0.5)
        except AssertionError:
            healthy = "healthy" if self.is_healthy() else "not healthy"
            raise AssertionError(
                f"{answers()} after {seconds} s, not {expected}; to Consul it is {healthy}"
            ) from None

    def wait_until_writable(self):
        """Wait for the end of a freeze that is in force: a run that failed has a second allocation for it."""
        url = f"http://{self.address}/v2/"
        until(lambda: httpx.get(url).headers.get("X-Registry-Mode") == "read-write")
        self.wait_until_served()

    def is_healthy(self):
        """Whether Consul has just what Nomad runs, and every check passes, and not from before a restart."""
        env = self.cluster.env
        consul = f"{self.cluster.consul_address}/v1/health/service/registry"
        nomad = f"{self.cluster.nomad_address}/v1/job/docker-registry/allocations"
        try:
            found = httpx.get(consul, headers={"X-Consul-Token": env.get("CONSUL_HTTP_TOKEN", "")}).json()
            placed = httpx.get(nomad, headers={"X-Nomad-Token": env.get("NOMAD_TOKEN", "")}).json()
        except (httpx.TransportError, ValueError):  # it starts
            return False
        running = {each["ID"]: each["TaskStates"] for each in placed if _is_to_run(each, "running")}
        # Until Nomad takes it away, Consul has also the one that has just been replaced.
        registered = {each["Service"]["ID"].removeprefix("_nomad-task-")[:36] for each in found}
        states = {check["Status"] for each in found for check in each["Checks"]}
        tasks = [task for each in running.values() for task in each.values()]
        starts = [datetime.fromisoformat(task["StartedAt"]) for task in tasks if task["Restarts"]]
        seen = all(datetime.now(UTC) - start > RESTART_SEEN for start in starts)
        return registered == set(running) and states == {"passing"} and seen


def _is_to_run(allocation, *states):
    """One that is to stop is not gone yet."""
    return allocation["DesiredStatus"] == "run" and allocation["ClientStatus"] in states


def _goes_on(allocation, jobs):
    return allocation["JobID"] in jobs and allocation["ClientStatus"] in ("pending", "running")


def _status(url, trust):
    try:
        return httpx.get(url, verify=trust, timeout=10).status_code
    except httpx.HTTPError:
        return None

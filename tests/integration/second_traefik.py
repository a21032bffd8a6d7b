"""A second Traefik of a test's own, with a certificate and timeouts as the test wants them."""

import subprocess
import time
from contextlib import contextmanager

import httpx
import trustme
import yaml

from devcluster import traefik


class SecondTraefik:
    """Traefik at an address of its own, for the same Consul."""

    def __init__(self, instance, folder, address, port):
        self.instance, self.folder, self.address, self.port = instance, folder, address, port
        self.api = f"http://127.0.0.1:{port + 1}"
        self.static = traefik.config(instance)
        entry_points = self.static["entryPoints"]
        entry_points["websecure"]["address"] = f"{address}:{port}"
        entry_points["traefik"]["address"] = f"127.0.0.1:{port + 1}"
        self.static["providers"]["file"]["filename"] = str(folder / "tls.yml")
        self.authority = trustme.CA()

    def certify(self, *names, until=None):
        """Give it a certificate for these names."""
        made = self.authority.issue_cert(*names, not_after=until)
        made.private_key_and_cert_chain_pem.write_to_path(str(self.folder / "server.pem"))
        pair = {key: str(self.folder / "server.pem") for key in ("certFile", "keyFile")}
        content = {"tls": {"stores": {"default": {"defaultCertificate": pair}}}}
        (self.folder / "tls.yml").write_text(yaml.safe_dump(content))

    @contextmanager
    def running(self):
        """Run it; its static configuration may be changed before."""
        file = self.folder / "traefik.yml"
        file.write_text(yaml.safe_dump(self.static))
        program = self.instance.bin / "traefik"
        with (self.folder / "traefik.log").open("a") as log:
            process = subprocess.Popen([program, f"--configFile={file}"], stdout=log, stderr=log)
        try:
            self._wait()
            yield
        finally:
            process.terminate()
            process.wait(60)

    def _wait(self, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            try:
                routers = httpx.get(f"{self.api}/api/http/routers", trust_env=False).json()
            except (httpx.HTTPError, ValueError):
                routers = []
            if any(router["provider"] == "consulcatalog" for router in routers):
                return
            assert time.monotonic() < deadline, (self.folder / "traefik.log").read_text()[-2000:]
            time.sleep(0.1)

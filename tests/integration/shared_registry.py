"""A registry of several instances as clients of Traefik see it, and its instances one by one."""

import concurrent.futures
import hashlib
import json
import os
import threading
import time
from dataclasses import dataclass, field

import httpx

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass
class Image:
    """An image of one config and one layer, random and small."""

    name: str
    size: int = 20_000
    blobs: dict = field(default_factory=dict)  # content by digest
    manifest: bytes = b""

    def __post_init__(self):
        parts = []
        for content in (json.dumps({"made": os.urandom(8).hex()}).encode(), os.urandom(self.size)):
            self.blobs[digest_of(content)] = content
            parts.append({"digest": digest_of(content), "size": len(content)})
        config, layer = parts
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
                "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **layer}],
            }
        ).encode()

    @property
    def digest(self):
        return digest_of(self.manifest)


def digest_of(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Clients:
    """Many clients at once, by Traefik's name."""

    def __init__(self, deployment):
        self.pushed = []
        self.http = httpx.Client(
            base_url=f"https://{deployment.tls_address}/v2",
            verify=deployment.trust(),
            timeout=60,
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=50),
        )

    def push(self, image):
        """Push an image; an answer that is no success, or none, is an error."""
        for digest, content in image.blobs.items():
            started = self.http.post(f"/{image.name}/blobs/uploads/")
            expect(started, 202)
            expect(self.http.put(f"{place(started)}&digest={digest}", content=content), 201)
        url, headers = f"/{image.name}/manifests/latest", {"Content-Type": MANIFEST}
        expect(self.http.put(url, content=image.manifest, headers=headers), 201)
        self.pushed.append(image)

    def pull(self, image):
        """Pull an image by its digest and compare all of it."""
        answer = self.http.get(f"/{image.name}/manifests/{image.digest}", headers={"Accept": MANIFEST})
        expect(answer, 200)
        assert answer.content == image.manifest
        for digest, content in image.blobs.items():
            answer = self.http.get(f"/{image.name}/blobs/{digest}", follow_redirects=True)
            expect(answer, 200)
            assert answer.content == content, digest

    def push_all(self, images, tries=60):
        """Push all at once and pull each one then, anew while one that is gone is still asked."""

        def push(image):
            for left in reversed(range(tries)):
                try:
                    self.push(image)
                    self.pull(image)
                    break
                except (httpx.TransportError, RefusedError):
                    if not left:
                        raise
                    time.sleep(2)  # Consul and Traefik notice after some seconds that an instance is gone

        with concurrent.futures.ThreadPoolExecutor(len(images)) as pool:
            for done in [pool.submit(push, image) for image in images]:
                done.result(300)


class Puller(threading.Thread):
    """Pulls one image all the time, until it is stopped; remembers what failed."""

    def __init__(self, clients, image):
        super().__init__(daemon=True)
        self.clients, self.image = clients, image
        self.pulls, self.failures, self.stopped = 0, [], threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join(60)

    def run(self):
        while not self.stopped.is_set():
            try:
                self.clients.pull(self.image)
                self.pulls += 1
            except (httpx.HTTPError, RefusedError, AssertionError) as error:
                self.failures.append(f"{time.strftime('%X')} {error!r}")
            time.sleep(0.02)


class RefusedError(Exception):
    """An answer that is not the expected one."""


def expect(answer, status):
    if answer.status_code != status:
        raise RefusedError(
            f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:300]}"
        )


def place(answer):
    """The URL at which an upload goes on, with the upload's state."""
    return answer.request.url.join(answer.headers["Location"])

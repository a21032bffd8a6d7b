"""The Nomad job that scans the newest images with Trivy."""

from dataclasses import replace

from config.sections.scan import Scan
from config.settings import Settings
from jobs import nomad
from jobs.backup import longest_gap
from jobs.maintenance import data_mount, maintenance_job, owner_of
from jobs.registry import DATA_DIRECTORY, volume_request
from jobs.script_task import script_task
from jobs.static_program import static_program

TASK = "scan"
REPORT = "reports/report.jsonl"  # in the folder that the tasks of an allocation share
_CPU, _MEMORY = 500, 1024  # MHz and MiB; Trivy takes half a GiB for an image with many packages
_PROGRAM = "/usr/local/bin/trivy"  # in its own image


def scan_job(settings: Settings, *, volume_source: str, consul_ca: str | None) -> nomad.Job:
    """Make the periodic job. It reads the volume and cannot write to it; the registry works on.

    `consul_ca` is the text of the certificates that Consul's is checked against.
    """
    scan = settings.maintenance.scan
    assert scan is not None  # noqa: S101 - for the type checker; without it there is no such job
    job = settings.maintenance_job("scan")
    return maintenance_job(
        settings,
        job,
        tasks=(
            static_program("trivy", image=scan.image, path=_PROGRAM),
            _scan(settings, scan, job, consul_ca),
        ),
        volumes={settings.volume: volume_request(settings, volume_source)},
        schedule=scan.schedule,
    )


def scan_service(settings: Settings) -> str:
    """Name the Consul service whose check says how the last scan went."""
    return f"{settings.registry.service}-scan"


def _scan(settings: Settings, scan: Scan, job: str, consul_ca: str | None) -> nomad.Task:
    made = script_task(
        TASK,
        settings,
        user=owner_of(settings),  # who may read the store
        env={
            "JOB": job,
            "STORE": DATA_DIRECTORY,
            "NEWEST": str(scan.newest),
            "SCANNERS": ",".join(scan.scanners),
            "THRESHOLD": scan.threshold,
            "IGNORE_UNFIXED": "true" if scan.ignore_unfixed else "false",
            "CONSUL_ADDRESS": settings.providers.consul.address,
            "CHECK": scan_service(settings),
            "CHECK_HOURS": str(24 * longest_gap(scan.schedule)),
        },
        consul_ca=consul_ca,
        volume_mounts=(data_mount(settings, read_only=True),),
        nomad_api=True,  # its variable may hold a token for Consul
    )
    return replace(
        made,
        config=replace(made.config, pids_limit=256),  # Trivy's Go threads
        resources=nomad.Resources(cpu=_CPU, memory=_MEMORY),
    )

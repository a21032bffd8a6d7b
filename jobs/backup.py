"""The Nomad jobs of backups: one takes them, one tries them out, one tells of them, one restores."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from config.sections.backup import Backup
from config.settings import Settings
from jobs import nomad
from jobs.duration import Duration
from jobs.maintenance import data_mount, frozen, maintenance_job, owner_of
from jobs.registry import DATA_DIRECTORY, volume_request
from jobs.script_task import script_task
from jobs.static_program import static_program
from jobs.vault_login import VaultLogin

BACKUP_DIRECTORY = "/backup"
BUCKET_KEYS = "backup-s3"  # secret with the keys of a bucket, below the registry's in Vault
# Tasks whose output `python -m ops` reads.
BACKUP, DRILL, SNAPSHOTS, RESTORE = "backup", "drill", "snapshots", "restore"
# What a dispatch says.
SNAPSHOTS_META = ("snapshot", "repository")
RESTORE_META = ("repository", "accept_damage")

_CPU, _MEMORY = 500, 768  # MHz and MiB; restic keeps the index of all packs in memory
# Time to put things back and to remove what was written; Nomad caps it at the client's max_kill_timeout.
_RESTORE_KILL_TIMEOUT = Duration.minutes(5)
_RESTIC = "/usr/bin/restic"  # in its own image


@dataclass(frozen=True, kw_only=True)
class BackupJobs:
    """What all of them need: the volume with the images, and secrets (KV v2 API paths)."""

    settings: Settings
    volume_source: str
    secret_path: str  # of the password
    bucket_keys_path: str | None = None
    vault_ca: str | None  # texts of certificates that the servers' are checked by
    consul_ca: str | None

    def backup(self, login: VaultLogin) -> nomad.Job:
        """Make the periodic job that backs up: the registry is read-only until the snapshot is taken."""
        keep = self._backup.keep
        env = {f"KEEP_{unit.upper()}": str(count) for unit, count in keep.model_dump().items()}
        env["REGISTRY_TLS"] = "true" if self.settings.tls.mode == "registry" else "false"
        main = self._task(BACKUP, login, env=env, read_only=True, nomad_api=True)
        tasks = (self._restic, *frozen(self.settings, main))
        return self._job("backup", tasks, schedule=self._backup.schedule)

    def drill(self, login: VaultLogin) -> nomad.Job:
        """Make the periodic job that reads the newest snapshot back; nothing is frozen or written."""
        check = {
            "CONSUL_ADDRESS": self.settings.providers.consul.address,
            "CHECK": drill_service(self.settings),
            "CHECK_HOURS": str(24 * longest_gap(self._backup.drill)),
        }
        tasks = (self._restic, self._task(DRILL, login, env=check, read_only=True))
        return self._job("drill", tasks, schedule=self._backup.drill)

    def snapshots(self, login: VaultLogin) -> nomad.Job:
        """Make the job that is dispatched to list snapshots, or to say what one would change."""
        tasks = (self._restic, self._task(SNAPSHOTS, login, read_only=True))
        made = self._job("snapshots", tasks, schedule=None)
        return replace(made, parameterized=nomad.Parameterized(meta_optional=SNAPSHOTS_META))

    def restore(self, login: VaultLogin) -> nomad.Job:
        """Make the job that is dispatched to restore a snapshot, while the registry is read-only."""
        main = self._task(RESTORE, login, read_only=False, nomad_api=True)
        main = replace(main, kill_timeout=_RESTORE_KILL_TIMEOUT)
        tasks = (self._restic, *frozen(self.settings, main))
        made = self._job("restore", tasks, schedule=None)
        parameters = nomad.Parameterized(meta_required=("snapshot",), meta_optional=RESTORE_META)
        return replace(made, parameterized=parameters)

    @property
    def _backup(self) -> Backup:
        backup = self.settings.maintenance.backup
        assert backup is not None  # noqa: S101 - for the type checker; without it there are no such jobs
        return backup

    @property
    def _restic(self) -> nomad.Task:
        return static_program("restic", image=self._backup.image, path=_RESTIC)

    def _job(self, kind: str, tasks: tuple[nomad.Task, ...], schedule: str | None) -> nomad.Job:
        settings, volume = self.settings, self.settings.backup_volume
        return maintenance_job(
            settings,
            settings.maintenance_job(kind),
            tasks=tasks,
            volumes={
                settings.volume: volume_request(settings, self.volume_source),
                **({volume: nomad.VolumeRequest(name=volume, source=volume)} if volume else {}),
            },
            schedule=schedule,
        )

    def _task(
        self,
        script: str,
        login: VaultLogin,
        *,
        read_only: bool,
        env: Mapping[str, str] | None = None,
        nomad_api: bool = False,
    ) -> nomad.Task:
        settings, volume = self.settings, self.settings.backup_volume
        made = script_task(
            script,
            settings,
            user=owner_of(settings),  # who may read the store; the backups belong to the same
            env={
                "REGISTRY_JOB": settings.registry.name,
                "STORE": DATA_DIRECTORY,
                "SECRET_PATH": self.secret_path,
                **self._place(),
                **(env or {}),
            },
            login=login,
            vault_ca=self.vault_ca,
            consul_ca=self.consul_ca if script == DRILL else None,
            volume_mounts=(
                data_mount(settings, read_only=read_only),
                *([nomad.VolumeMount(volume=volume, destination=BACKUP_DIRECTORY)] if volume else []),
            ),
            nomad_api=nomad_api,
        )
        return replace(
            made,
            config=replace(made.config, pids_limit=256),  # restic's Go threads
            resources=nomad.Resources(cpu=_CPU, memory=_MEMORY),
        )

    def _place(self) -> Mapping[str, str]:
        """Tell the scripts where the backups are (jobs/tasks/backup_place.py)."""
        s3 = self._backup.s3
        if s3 is None:
            return {"BACKUPS": BACKUP_DIRECTORY}
        assert self.bucket_keys_path is not None  # noqa: S101 - for the type checker
        return {
            "BUCKET": f"s3:{s3.endpoint}/{s3.bucket}/{s3.prefix or self.settings.registry.name}",
            "BUCKET_KEYS_PATH": self.bucket_keys_path,
            **({"BUCKET_REGION": s3.region} if s3.region else {}),
        }


def secret_name(settings: Settings) -> str:
    """Where the password of the backups is, below the KV mount."""
    return f"{settings.registry.name}/backup"


def drill_service(settings: Settings) -> str:
    """Name the Consul service whose check says how the last drill went."""
    return f"{settings.registry.service}-drill"


def longest_gap(schedule: str) -> int:
    """Give the days in which a job of this schedule (cron) runs at least once, and one to spare."""
    _, _, day, month, weekday = schedule.lower().replace("?", "*").split()
    if month != "*":
        return 374 if weekday != "*" or "w" in day else 367  # a day that moves by up to a week
    if day != "*":
        return 64 if "w" in day else 63  # not every month has a 31st; of a Sunday it may be Friday the 29th
    if "#" in weekday or "l" in weekday:
        return 120 if "#5" in weekday else 36  # the fifth Friday of a month, and the first or last
    return 8 if weekday != "*" else 2

"""What looks after the registry while it runs."""

from dataclasses import dataclass

import pulumi

from components.backup import Backup, BackupArgs
from components.garbage_collection import GarbageCollection, GarbageCollectionArgs
from components.preflight import nomad_acl
from components.retention import Retention, RetentionArgs
from components.scan import Scan, ScanArgs
from config.settings import Settings
from jobs.registry import VaultGrant
from jobs.retention import before_collection


@dataclass(frozen=True, kw_only=True)
class MaintenanceArgs:
    """The settings, and what the other components created."""

    settings: Settings
    volume_source: pulumi.Input[str] | None  # None: the images are on no volume
    grant: pulumi.Input[VaultGrant]  # the registry's: where its secrets are
    login_backend: pulumi.Input[str]  # auth backend at which jobs log in with their identity


class Maintenance(pulumi.ComponentResource):
    """Makes the jobs for what section `maintenance` has.

    Produces: a GarbageCollection, a Retention, a Backup and a Scan, each only if the stack has it.
    """

    def __init__(self, name: str, args: MaintenanceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("homelab:registry:Maintenance", name, None, opts)
        settings, source, backend = args.settings, args.volume_source, args.login_backend
        wanted, child = settings.maintenance, pulumi.ResourceOptions(parent=self)
        acl = nomad_acl(settings) if wanted.garbage_collection or wanted.retention or wanted.backup else False
        if wanted.garbage_collection:
            collection = GarbageCollectionArgs(
                settings=settings,
                volume_source=source,
                grant=args.grant,
                login_backend=backend,
                nomad_acl=acl,
                before=before_collection(settings),
            )
            GarbageCollection(f"{name}-gc", collection, child)
        if wanted.retention and source is not None:
            retention = RetentionArgs(settings=settings, volume_source=source, nomad_acl=acl)
            Retention(f"{name}-retention", retention, child)
        if wanted.backup and source is not None:
            backup = BackupArgs.of(settings, volume_source=source, login_backend=backend, nomad_acl=acl)
            Backup(f"{name}-backup", backup, child)
        if wanted.scan and source is not None:
            Scan(f"{name}-scan", ScanArgs(settings=settings, volume_source=source), child)
        self.register_outputs({})

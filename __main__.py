"""A private Docker registry on Nomad, Consul, Vault and Traefik, as one graph."""

import pulumi

from components.certificate_authority import CertificateAuthority, CertificateAuthorityArgs
from components.client_trust import ClientTrust, ClientTrustArgs
from components.consul_service import ConsulService, ConsulServiceArgs
from components.dead_jobs import start_dead_jobs
from components.free_names import require_free_names
from components.host_volume import HostVolume, HostVolumeArgs
from components.maintenance import Maintenance, MaintenanceArgs
from components.mirrors import Mirrors, MirrorsArgs
from components.monitoring import Monitoring, MonitoringArgs
from components.preflight import (
    bound_network,
    deployable,
    existing_authority,
    mirrors_deployable,
    nomad_acl,
    preflight,
)
from components.registry_job import RegistryJob, RegistryJobArgs
from components.replacement import delete_before_replacing
from components.shown_diffs import show_inputs_only
from components.stack_config import stack_settings
from components.token_auth import TokenAuth, TokenAuthArgs
from components.vault_access import VaultAccess, VaultAccessArgs
from config.next_steps import next_steps

settings = stack_settings()
preflight(settings)
require_free_names(settings)
delete_before_replacing()
show_inputs_only()
start_dead_jobs(settings)

volume = HostVolume("registry-data", HostVolumeArgs.of(settings)) if settings.on_volume else None
source = volume.source if volume else None
service = ConsulService("registry-service", ConsulServiceArgs.of(settings))

authority = None
if settings.tls.mode == "registry":
    existing = existing_authority(settings)
    authority = CertificateAuthority("registry-ca", CertificateAuthorityArgs.of(settings, existing=existing))
    ClientTrust("registry-trust", ClientTrustArgs.of(settings, certificate=authority.certificate))
    pulumi.export("caCertificate", authority.certificate)

issue_path = authority.issue_path if authority else None
access = VaultAccess("registry-access", VaultAccessArgs.of(settings, issue_path=issue_path))

tokens = None
if settings.auth.mode == "vault":
    tokens = TokenAuth(
        "registry-tokens", TokenAuthArgs(settings=settings, login_backend=access.login_backend)
    )

jwks_path = tokens.jwks_path if tokens else None
network = bound_network(settings)
registry = RegistryJob(
    "registry",
    RegistryJobArgs(
        settings=settings,
        volume_source=source,
        service=service.service,
        grant=access.grant,
        jwks_path=jwks_path,
        host_network=network,
        before_deploy=[deployable(settings)],
    ),
)

Maintenance(
    "registry",
    MaintenanceArgs(
        settings=settings,
        volume_source=source,
        grant=access.grant,
        login_backend=access.login_backend,
    ),
    pulumi.ResourceOptions(depends_on=[registry]),
)

cache = None
if settings.mirrors.root:
    cache = HostVolume("registry-cache", HostVolumeArgs.cache(settings))
    mirrors = Mirrors(
        "registry-mirrors",
        MirrorsArgs(
            settings=settings,
            volume_source=cache.source,
            grant=access.grant,
            login_backend=access.login_backend,
            jwks_path=jwks_path,
            host_network=network,
            before_deploy=[mirrors_deployable(settings)],
        ),
        # Nomad sees a port as taken while the registry's old allocation gives way to the new one.
        pulumi.ResourceOptions(depends_on=[registry]),
    )
    pulumi.export("mirrors", mirrors.addresses)

if settings.monitoring:
    monitoring = Monitoring(
        "registry-monitoring",
        MonitoringArgs(
            settings=settings,
            volume_source=source,
            cache_source=cache.source if cache else None,
            nomad_acl=nomad_acl(settings),
            host_network=network,
        ),
        pulumi.ResourceOptions(depends_on=[registry]),
    )
    pulumi.export("monitoringFiles", monitoring.files)

pulumi.export("registryUrl", settings.registry_url)
pulumi.export("registryAddress", settings.registry_address)
pulumi.export("jobId", registry.job_id)
if volume:
    pulumi.export("volumePath", str(settings.volume_path))
    pulumi.export("volumeStanza", settings.volume_stanza)
pulumi.export("nextSteps", next_steps(settings))

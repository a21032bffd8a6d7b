"""A private Docker registry on Nomad, Consul, Vault and Traefik, as one graph."""

import pulumi

from components.consul_service import ConsulService, ConsulServiceArgs
from components.host_volume import HostVolume, HostVolumeArgs
from components.preflight import deployable, preflight
from components.registry_job import RegistryJob, RegistryJobArgs
from components.stack_config import stack_settings
from components.vault_access import VaultAccess, VaultAccessArgs
from config.next_steps import next_steps

settings = stack_settings()
preflight(settings)

volume = HostVolume(
    "registry-data",
    HostVolumeArgs(
        volume=settings.volume,
        path=settings.volume_path,
        owner=settings.storage.owner,
        host=settings.storage.host,
        node_id=settings.storage.node_id,
        namespace=settings.registry.namespace,
    ),
)
access = VaultAccess(
    "registry-access",
    VaultAccessArgs(
        name=settings.registry.name,
        vault=settings.vault,
        users=settings.auth.users,
        config_secrets=settings.config_secrets,
        namespace=settings.registry.namespace,
        job=settings.registry.name,
        jwks_url=settings.nomad_jwks_url,
    ),
)
service = ConsulService(
    "registry-service",
    ConsulServiceArgs(service=settings.registry.service, protocol=settings.registry.consul_protocol),
)
registry = RegistryJob(
    "registry",
    RegistryJobArgs(
        settings=settings,
        volume_source=volume.source,
        service=service.service,
        grant=access.grant,
        before_deploy=[deployable(settings)],
    ),
)

pulumi.export("registryUrl", settings.registry_url)
pulumi.export("registryAddress", settings.registry_address)
pulumi.export("jobId", registry.job_id)
pulumi.export("volumePath", str(settings.volume_path))
pulumi.export("volumeStanza", settings.volume_stanza)
pulumi.export("nextSteps", next_steps(settings))

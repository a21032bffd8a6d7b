# What the deployer's token needs at Nomad with ACLs on:
#
#   nomad acl policy apply docker-registry-deploy nomad.hcl
#   nomad acl token create -policy=docker-registry-deploy
#
# The names are those of the default settings: `default` is registry.namespace. Rights in a namespace hold
# for all jobs in it, so a namespace of its own for the registry keeps the token away from other jobs.

namespace "default" {
  capabilities = [
    "submit-job", # plan, register, stop and purge the jobs
    "read-job",   # read them back, and wait until they are healthy
  ]
}

# The volume of the images. A rule's name may have no underscore, so `*` stands for it in registry_data.
# Where registry.name is not `docker-registry`, the volume is named after it, or by storage.volume.
host_volume "registry*data" { policy = "write" }

# With auth.nodes also auth.nodes.volume, which is registry_auth by default.
# host_volume "registry*auth" { policy = "write" }

# With maintenance.backup, not to a bucket, also its `volume`, which is registry_backup by default.
# host_volume "registry*backup" { policy = "write" }

# With mirrors also storage.cacheVolume, which is registry_cache by default.
# host_volume "registry*cache" { policy = "write" }

# Which clients are ready, and which volumes and addresses they offer.
node { policy = "read" }

# To be told of jobs in other namespaces that write to the volume, and which one has a port that is taken. It
# shows those jobs' specifications:
# namespace "*" { capabilities = ["read-job"] }

# With storage.kind dynamic (Nomad 1.10 and newer) also these capabilities in the namespace:
#   "host-volume-register", "host-volume-read", "host-volume-delete"
# For a task's own words in `python -m ops why`, and when a job of the registry's fails during `up`: "read-logs"

# What the deployer's token needs at Consul with ACLs on:
#
#   consul acl policy create -name docker-registry-deploy -rules @consul.hcl
#   consul acl token create -policy-name docker-registry-deploy
#
# `registry` is the service of the default settings. Where registry.name is not `docker-registry`, the service
# is named like it. Nomad's own token registers the service; this one writes its configuration entries.

service "registry" {
  policy     = "write" # service-defaults
  intentions = "write" # service-intentions: who in a mesh may reach it (access.allowedServices)
}

# What others have: a preview looks for a service with the same name or the same host name for Traefik. It sees
# as much as it may read. `python -m ops status` reads it too.
service_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }

# With maintenance.backup and maintenance.scan also what takes their checks away in the end:
# service "registry-drill" { policy = "write" }
# service "registry-scan" { policy = "write" }

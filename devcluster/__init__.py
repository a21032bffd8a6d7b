"""The embedded cluster: Docker, Consul, OpenBao, Nomad and Traefik on this one machine."""

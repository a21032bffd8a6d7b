"""What can be asked of the servers: reachable, rights, volume, health. Imports no Pulumi."""

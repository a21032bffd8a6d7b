"""What Prometheus, Grafana and log collectors are given to watch the registry."""

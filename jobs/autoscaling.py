"""How Nomad's autoscaler chooses the number of instances (Nomad Autoscaler: scaling policies)."""

from config.sections.instances import Scaling
from jobs import nomad


def autoscaling(scaling: Scaling) -> nomad.Scaling:
    """Aim at a share of each instance's CPU; blocks are lists of one, as Nomad makes them of HCL."""
    strategy = {"target-value": [{"target": scaling.cpu}]}
    check = {"source": "nomad-apm", "query": "avg_cpu", "strategy": [strategy]}
    return nomad.Scaling(
        min=scaling.min,
        max=scaling.max,
        policy={
            # A rolling update of one instance takes about a minute; until then a change tells nothing.
            "cooldown": "2m",
            "evaluation_interval": "30s",
            "check": [{"cpu": [check]}],
        },
    )

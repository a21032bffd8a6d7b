from config.sections.instances import Scaling
from jobs.autoscaling import autoscaling
from jobs.nomad import to_api


def test_the_autoscaler_aims_at_a_share_of_the_cpu_within_the_bounds():
    made = to_api(autoscaling(Scaling(min=2, max=5, cpu=60)))

    assert (made["Min"], made["Max"], made["Enabled"], made["Type"]) == (2, 5, True, "horizontal")
    [check] = made["Policy"]["check"][0]["cpu"]
    assert (check["source"], check["query"]) == ("nomad-apm", "avg_cpu")
    assert check["strategy"] == [{"target-value": [{"target": 60}]}]

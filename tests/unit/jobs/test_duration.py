from jobs.duration import Duration


def test_a_duration_counts_nanoseconds_as_nomad_does():
    assert Duration.seconds(1.5).nanoseconds == 1_500_000_000
    assert Duration.minutes(2) == Duration.seconds(120)


def test_a_duration_prints_as_seconds():
    assert str(Duration.minutes(2)) == "120s"

from jobs.tasks.prometheus_text import Sample, render

HELPS = {"a_total": "Things.", "b_bytes": "Sizes.", "c": "Never seen."}


def test_samples_of_a_name_stand_together_below_its_text():
    samples = [Sample("a_total", 1, {"kind": "x"}), Sample("b_bytes", 2, {}), Sample("a_total", True, {})]

    assert render(samples, HELPS) == (
        "# HELP a_total Things.\n"
        "# TYPE a_total gauge\n"
        'a_total{kind="x"} 1\n'
        "a_total 1\n"
        "# HELP b_bytes Sizes.\n"
        "# TYPE b_bytes gauge\n"
        "b_bytes 2\n"
    )


def test_a_time_keeps_its_seconds_and_a_size_its_bytes():
    text = render([Sample("a_total", 1795534207.25, {}), Sample("b_bytes", 2**50 + 1, {})], HELPS)

    assert "a_total 1795534207.25\n" in text
    assert f"b_bytes {2**50 + 1}\n" in text


def test_what_would_end_a_label_is_escaped():
    text = render([Sample("b_bytes", 0, {"volume": 'a"b\\c\nd'})], HELPS)

    assert text.splitlines()[-1] == r'b_bytes{volume="a\"b\\c\nd"} 0'

from ops.report import growth_line, page, words

SUMMARY = {
    "at": 0,
    "blobs": 3,
    "bytes": 3072,
    "used": 1024,
    "shared": [],
    "growth": [],
    "free": 1024**3,
    "total": 4 * 1024**3,
}
TAG = {"name": "1", "digest": f"sha256:{'a' * 64}", "pushed": 0, "bytes": 1024}
APP = {"repository": "ci/app", "bytes": 1024, "own": 1024, "manifests": 1, "tags": [TAG], "leaving": None}


def test_the_totals_are_a_line():
    told = words([APP], SUMMARY)

    assert told.startswith("repositories 1, tags 1, blobs 3, 3.0 KiB of which 2.0 KiB is used by no image; ")
    assert told.endswith("free 1.0 GiB of 4.0 GiB")


def test_a_page_loads_nothing_from_elsewhere_and_runs_no_script():
    made = page("https://registry.homelab.local", True, [APP], SUMMARY)

    assert "default-src 'none'" in made
    assert "<script" not in made and "src=" not in made and "@import" not in made
    assert "not healthy" not in made


def test_names_are_escaped():
    made = page("https://x", False, [{"repository": "<b>", "damaged": "<i>"}], SUMMARY)

    assert "<i>" not in made and "&lt;b&gt; cannot be read: &lt;i&gt;" in made
    assert "not healthy" in made


def test_an_empty_store_has_a_page_too():
    assert '<b data-total="repositories">0</b>' in page("https://x", True, [], SUMMARY)


def test_growth_goes_to_the_right_and_up():
    assert growth_line([("2026-01-01", 50), ("2026-01-03", 100)]) == "0.0,80.0 720.0,0.0"
    assert growth_line([("2026-01-01", 50)]) == "0.0,0.0 720.0,0.0"
    assert growth_line([]) == ""

import html
import re

from ops.report import growth_line, page, words

KIB = 1024
DAY = 86_400

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


def test_what_could_turn_the_direction_of_a_name_is_written_by_its_code():
    made = page("https://x", True, [{"repository": "a\u202eb", "damaged": "\x1b[2J\x00"}], SUMMARY)

    assert r"a\u202eb cannot be read: \x1b[2J\x00" in made


def test_an_empty_store_has_a_page_too():
    assert '<b data-total="repositories">0</b>' in page("https://x", True, [], SUMMARY)


def shown(made):
    """What a browser shows of a page, without its tags."""
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", made.partition("<body>")[2]).split()))


def tag(name, day, kib):
    return {"name": name, "digest": f"sha256:{name * 64}", "pushed": day * DAY, "bytes": kib * KIB}


def test_a_page_shows_growth_shared_layers_and_what_retention_would_remove():
    app = {
        **APP,
        "bytes": 30 * KIB,
        "own": 20 * KIB,
        "tags": [tag("1", day=2, kib=12), tag("2", day=9, kib=18)],
        "leaving": {"tags": 1, "bytes": 7 * KIB},
    }
    tool = {**APP, "repository": "tool", "bytes": 15 * KIB, "leaving": {"tags": 2, "bytes": 2 * KIB}}
    summary = {
        **SUMMARY,
        "growth": [("2026-01-01", 10 * KIB), ("2026-01-02", 30 * KIB), ("2026-01-05", 40 * KIB)],
        "shared": [{"digest": f"sha256:{'c' * 64}", "bytes": 4 * KIB, "repositories": 3}],
    }

    made = page("https://x", True, [tool, app], summary)
    text = shown(made)

    assert "3 tags would go by retention, 9.0 KiB" in text
    assert "2026-01-01 to 2026-01-05, up to 40.0 KiB." in text
    assert '<polyline points="0.0,120.0 180.0,40.0 720.0,0.0"' in made
    newest_first = "2 1970-01-10 18.0 KiB sha256:222222222222 1 1970-01-03 12.0 KiB sha256:111111111111"
    assert f"ci/app {newest_first} 30.0 KiB 20.0 KiB 2 1 tags, 7.0 KiB" in text
    assert text.index("ci/app") < text.index("tool"), "the largest comes first"
    assert re.findall(r'style="width: ([\d.]+)%"', made) == ["100.0", "50.0"]
    assert "blob size repositories saved sha256:cccccccccccc 4.0 KiB 3 8.0 KiB" in text


def test_a_page_has_no_heading_over_nothing():
    text = shown(page("https://x", True, [APP], SUMMARY))

    assert "Growth" not in text and "Shared layers" not in text
    assert "0 tags would go by retention, 0 B" in text


def test_growth_goes_to_the_right_and_up():
    assert growth_line([("2026-01-01", 50), ("2026-01-03", 100)]) == "0.0,80.0 720.0,0.0"
    assert growth_line([("2026-01-01", 50)]) == "0.0,0.0 720.0,0.0"
    assert growth_line([]) == ""

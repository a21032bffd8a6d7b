"""Each case was decided by Go's encoding/json, with the types of distribution 2.8.2 and 3.1.2."""

import pytest

from jobs.tasks.manifest_reader import LONGEST, Descriptor, read

A, B, C = (f"sha256:{each * 64}" for each in "abc")
INDEX = "application/vnd.oci.image.index.v1+json"
LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
IMAGE = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


def image(members, layers=f'[{{"digest": "{A}"}}]'):
    return f'{{"schemaVersion": 2, "layers": {layers}, {members}}}'.encode()


def digests(descriptors):
    return [each.digest for each in descriptors]


@pytest.mark.parametrize(
    "members",
    [
        b'"annotations": {"a": "\xff\xc3"}',
        b'"x": ' + 4301 * b"9",
        b'"x": -1.5e+400',
        b'"x": ' + 1500 * b"[" + 1500 * b"]",
        b'"x": ' + 9999 * b"[" + 9999 * b"]",
        b'"x": ' + 4999 * b'{"": [' + b"1" + 4999 * b"]}",
        b'"x": "\\ud800 \\" \\/ \\u0000"',
        b'"": {"": [[], {}, [1, "]", {"a": []}], null, true]}',
        b'"subject": 7, "manifests": null, "fsLayers": "x", "config": null',
        b'"config": {"other": [], "size": -9223372036854775808}',
    ],
    ids=lambda members: members[:30].decode(errors="replace"),
)
def test_what_the_registry_takes_can_be_read(members):
    read_ = read(image("@").replace(b"@", members))

    assert read_.is_readable("2") and read_.is_readable("3")
    assert digests(read_.layers) == [A]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"x"',
        b'\xef\xbb\xbf{"schemaVersion": 2}',
        b'{"schemaVersion": 2',
        b'{"schemaVersion": 2}}',
        b'{"schemaVersion": 2} x',
        b'{"schemaVersion": 2,}',
        b'{"schemaVersion": 2 "x": 1}',
        b"{schemaVersion: 2}",
        b'{"x": 01}',
        b'{"x": 1.}',
        b'{"x": +1}',
        b'{"x": NaN}',
        b'{"x": "\n"}',
        b'{"x": "\\x"}',
        b'{"x": "\\u12g4"}',
        b'{"x": [1,]}',
        b'{"x": [,1]}',
        b'{"x": [1}}',
        b'{"x": [[1, 2]}',
        b'{"x": {"a"}}',
        b'{"x": {"a": 1,}}',
        b'{"x": {1: 1}}',
        b'{"x": nul}',
        b'{"x": [1 2]}',
        b'{"x": "' + 3000 * b"\\n",
        b'{"x": ' + 10_000 * b"[" + 10_000 * b"]" + b"}",
        b'{"x": ' + 9999 * b"[" + b"1, [], 2" + 9999 * b"]" + b"}",
        b'{"x": ' + 10_000 * b'{"":' + b"1" + 10_000 * b"}" + b"}",
        b'{"layers": [' + 9999 * b"[" + 9999 * b"]" + b"]}",
        b'{"x": "' + LONGEST * b"x" + b'"}',
    ],
    ids=lambda text: text[:30].decode(errors="replace"),
)
def test_what_is_no_manifest_is_an_error(text):
    with pytest.raises(ValueError, match=r"JSON|nested too deeply|longer than a manifest"):
        read(text)


@pytest.mark.parametrize(
    ("media_type", "member", "readable"),
    [
        (IMAGE, '"annotations": {"a": 1}', ""),
        (DOCKER, '"annotations": {"a": 1}', "23"),
        (INDEX, '"annotations": []', "2"),
        (LIST, '"annotations": []', "23"),
        (LIST, '"layers": 7, "config": []', "23"),
        (INDEX, '"layers": 7', "23"),
        (INDEX, '"manifests": {}', ""),
        (LIST, '"manifests": [{"size": 1.0}]', ""),
        (LIST, '"manifests": [{"size": 9223372036854775808}]', ""),
        (LIST, '"manifests": [{"platform": {"os": 1}}]', ""),
        (LIST, '"manifests": [{"platform": {"os.features": ["a", 1]}}]', ""),
        (IMAGE, '"manifests": 7', "23"),
        (IMAGE, '"layers": [[]]', ""),
        (IMAGE, '"layers": [{"urls": [null, "x"]}, null]', "23"),
        (IMAGE, '"layers": [{"urls": [1]}]', ""),
        (IMAGE, '"layers": [{"annotations": {"a": null}}]', "23"),
        (IMAGE, '"config": "x"', ""),
        (IMAGE, '"config": {"digest": 1}', ""),
        (IMAGE, '"schemaVersion": 2.0', ""),
        (IMAGE, '"schemaVersion": null', "23"),
        (IMAGE, '"mediaType": 1', ""),
        ("", '"manifests": [7]', "23"),  # taken for an image
        ("", '"manifests": [], "layers": 7', "23"),
        ("", '"layers": 7', ""),
        ("application/vnd.oci.artifact.manifest.v1+json", '"x": 1', ""),
    ],
)
def test_a_field_of_another_type_stops_those_that_read_it(media_type, member, readable):
    text = f'{{"schemaVersion": 2, "mediaType": "{media_type}", {member}}}'.encode()

    assert "".join(version for version in "23" if read(text).is_readable(version)) == readable


def test_schema_1_is_told_by_its_number_alone():
    document = read(f'{{"schemaVersion": 1, "fsLayers": [{{"blobSum": "{A}"}}]}}'.encode())

    assert (document.schema_version, digests(document.others)) == (1, [A])
    assert not document.is_readable()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("LAYERS", [A]),
        ("lAYeRS", [A]),
        ("layer\u017f", [A]),
        ("\\u006Cayers", [A]),
        ("layers ", []),
        ("lâyers", []),
        ("layer", []),
    ],
)
def test_a_field_is_found_by_its_name_in_any_case(name, found):
    text = f'{{"schemaVersion": 2, "{name}": [{{"DIGEST": "{A}"}}]}}'.encode()

    assert digests(read(text).layers) == found


@pytest.mark.parametrize(
    ("lists", "found"),
    [
        ([f'[{{"digest": "{A}"}}]', f'[{{"digest": "{B}"}}]'], [B]),
        ([f'[{{"digest": "{A}"}}, {{"digest": "{B}"}}]', '[{"size": 1}]'], [A]),
        ([f'[{{"digest": "{A}"}}, {{"digest": "{B}"}}]', "[null]", "[{}, {}, {}]"], [A, B]),
        ([f'[{{"digest": "{A}"}}]', "[]"], []),
        ([f'[{{"digest": "{A}"}}]', "[]", "[{}]"], []),
        ([f'[{{"digest": "{A}"}}]', "null"], []),
    ],
)
def test_of_two_fields_of_one_name_the_later_one_counts_for_what_it_says(lists, found):
    text = ", ".join(f'"layers": {each}' for each in lists)

    assert digests(read(f'{{"schemaVersion": 2, {text}}}'.encode()).layers) == found


def test_a_configuration_that_is_given_twice_is_put_together():
    document = read(f'{{"config": {{"digest": "{A}"}}, "config": {{"mediaType": "x"}}}}'.encode())

    assert document.config == (Descriptor(A, "x"),)


def test_of_a_descriptor_what_is_used_is_read():
    text = f"""{{"manifests": [{{
        "mediaType": "a\\/b", "digest": "{A}", "size": 7, "urls": ["https://x"], "annotations": {{"k": "v"}},
        "platform": {{"os": "linux", "architecture": "arm", "variant": "v7", "os.features": ["x"]}}
    }}, {{"digest": "{B}", "urls": [], "platform": {{}}}}]}}"""

    assert read(text.encode()).manifests == (
        Descriptor(A, "a/b", True, ("linux", "arm", "v7")),
        Descriptor(B, "", False, None),
    )


@pytest.mark.parametrize(
    ("text", "cut"),
    [("x" * 5000, "x" * 1024), ("\\u0041" * 5000, "A" * 170), ("x\\n" * 5000, "x\n" * 341 + "x")],
)
def test_a_text_that_is_longer_than_any_that_is_used_is_cut(text, cut):
    document = read(f'{{"mediaType": "{text}", "subject": {{"digest": "{C}"}}}}'.encode())

    assert document.media_type == f"{cut}…"
    assert digests(document.subject) == [C]


def test_what_is_no_utf_8_is_replaced():
    assert read(b'{"mediaType": "a\xff\\ud83d\\ude00\\ud800"}').media_type == "a\ufffd\U0001f600\ufffd"

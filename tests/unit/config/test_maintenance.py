import pytest

from config.problems import SettingsError

RULE = {"repositories": ["ci/*"], "keepNewest": 10}


@pytest.fixture
def problem(read_settings):
    """The one line by which a maintenance section is refused."""

    def read(maintenance, **sections):
        with pytest.raises(SettingsError) as caught:
            read_settings(maintenance=maintenance, **sections)
        [line] = str(caught.value).splitlines()
        return line.partition("docker-registry:maintenance.")[2]

    return read


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("daily", "'daily' is no schedule; write five fields"),
        ("* * * *", "write five fields"),
        ("60 4 * * 0", "60 is no minute; it takes 0 to 59"),
        ("0 24 * * *", "24 is no hour; it takes 0 to 23"),
        ("0 4 0 * *", "0 is no day of month; it takes 1 to 31"),
        ("0 4 * 13 *", "13 is no month; it takes 1 to 12"),
        ("0 4 * * funday", "funday is no day of week; it takes 0 to 6, Sunday is 0 and the first one of a"),
        ("0 4 * * 5-7", "5-7 is no day of week"),  # Nomad would leave Sunday out
        ("0 4 * * 01", "01 is no day of week"),  # Sunday to Nomad
        ("0 4 * * 0#6", "0#6 is no day of week"),
        ("0 4 32W * *", "32w is no day of month; it takes 1 to 31, L or LW"),
        ("0 4 30 2 *", "'0 4 30 2 *' is no schedule: not every year has such a day"),
        ("0 4 * feb 0#5", "not every year has such a day"),
        ("0 4 29 feb *", "not every year has such a day"),
        ("0 4 31 4,jun *", "not every year has such a day"),
        ("*/60 * * * *", "*/60 is no minute"),
        ("٣ 4 * * *", "٣ is no minute"),
        (
            "@midnight",
            "'@midnight' is no schedule; write five fields: minute hour day month weekday, as 17 4 * * 0, ",
        ),
        ("@midnight", "of @yearly, @annually, @monthly, @weekly, @daily, @hourly"),
        ("0 0 4 * * 0", "write five fields"),  # seconds first, as elsewhere: Nomad reads a year last
        ("*/0 * * * *", "*/0 is no minute"),
        ("5-1 * * * *", "5-1 is no minute"),
        ("1,,2 * * * *", " is no minute"),
    ],
)
def test_a_schedule_that_is_none_is_refused_with_the_field_that_is_wrong(problem, schedule, words):
    line = problem({"garbageCollection": {"schedule": schedule}})

    assert line.startswith("garbageCollection.schedule: ")
    assert words in line


@pytest.mark.parametrize(
    "schedule",
    [
        *("17 4 * * 0", "*/15 * * * *", "0 4 1,15 jan-jun mon-fri", "0 0-6/2 * * 7", "05 04 01 01 *"),
        *(
            "0 4 ? * Sunday",
            "0 4 L * *",
            "0 4 LW * *",
            "0 4 15W * *",
            "0 4 * * 0#1",
            "0 4 * * friL",
            "5/20 * * * *",
        ),
        *("0 4 31 1,2 *", "0 4 31 */2 *", "0 4 30 2 1"),
    ],
)
def test_a_schedule_as_crontab_has_it_is_accepted(read_settings, schedule):
    read_settings(maintenance={"garbageCollection": {"schedule": schedule}})


def test_a_word_for_a_schedule_is_five_fields_to_all_that_read_it(read_settings):
    collection = read_settings(maintenance={"garbageCollection": {"schedule": "@daily"}}).maintenance

    assert collection.garbage_collection.schedule == "0 0 * * *"


@pytest.mark.parametrize("zone", ["Europe/Bonn", "Europe", "CEST", "../UTC", "x" * 300])
def test_an_unknown_time_zone_is_refused(problem, zone):
    assert problem({"timeZone": zone}).startswith(
        f"timeZone: '{zone}' is no time zone; write it like Europe/"
    )


def test_deleting_untagged_images_is_refused_on_2_x(problem):
    line = problem({"garbageCollection": {"deleteUntagged": True}}, registry={"image": "registry:2"})

    assert line.startswith("garbageCollection.deleteUntagged: needs distribution 3.x")


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ({"repositories": ["ci/*"]}, "retention.rules[0]: would remove every tag"),
        ({"repositories": ["ci/*"], "keepTags": []}, "retention.rules[0]: would remove every tag"),
        ({**RULE, "keepNewest": 0}, "retention.rules[0].keepNewest: 0 is less than 1"),
        ({**RULE, "keepTags": ["v[0-9"]}, "retention.rules[0].keepTags[0]: 'v[0-9' is no pattern"),
        ({**RULE, "keepTags": ["[^p]*"]}, "retention.rules[0].keepTags[0]: '[^p]*' has a ^; write [!…] for"),
        (
            {**RULE, "keepTags": ["1.2.3+*"]},
            "retention.rules[0].keepTags[0]: '1.2.3+*' has a +, and no tag can",
        ),
        ({**RULE, "keepTags": ["]a["]}, "retention.rules[0].keepTags[0]: ']a[' is no pattern"),
        ({**RULE, "keepTags": ["[[a]]"]}, "retention.rules[0].keepTags[0]: '[[a]]' is no pattern"),
        ({**RULE, "repositories": ["ci app"]}, "retention.rules[0].repositories[0]: 'ci app' is no pattern"),
        ({**RULE, "keepYoungerThan": "soon"}, "retention.rules[0].keepYoungerThan: 'soon' is no age"),
        ({**RULE, "keepYoungerThan": "0d"}, "retention.rules[0].keepYoungerThan: '0d' is no age"),
    ],
)
def test_a_rule_that_keeps_nothing_or_does_not_compile_is_refused(problem, rule, line):
    assert problem({"retention": {"rules": [rule]}}).startswith(line)


@pytest.mark.parametrize("pattern", ["[!p]*", "v[0-9].[0-9]*", "ci/?-x_y"])
def test_a_pattern_as_a_shell_has_it_is_accepted(read_settings, pattern):
    read_settings(maintenance={"retention": {"rules": [{**RULE, "keepTags": [pattern]}]}})


def test_nothing_runs_by_itself_by_default(read_settings):
    maintenance = read_settings().maintenance

    assert (maintenance.garbage_collection, maintenance.retention, maintenance.backup) == (None, None, None)


@pytest.mark.parametrize("section", [{"backup": {}}, {"retention": {"rules": [RULE]}}, {"scan": {}}], ids=str)
def test_what_works_on_the_volume_is_refused_for_images_in_a_bucket(problem, section):
    [key] = section

    elsewhere = problem(
        section, registry={"config": {"storage": {"filesystem": None, "gcs": {"bucket": "b"}}}}
    )
    in_s3 = problem(section, storage={"driver": "s3", "s3": {"region": "eu", "bucket": "images"}})
    assert elsewhere.startswith(f"{key}: is for images on the volume")
    assert in_s3.startswith(f"{key}: is for images on the volume, and storage.driver s3 keeps them elsewhere")


BUCKET = {"endpoint": "https://s3.lan", "bucket": "backups", "accessKey": "a", "secretKey": "hidden"}


def test_a_bucket_takes_the_place_of_the_volume(read_settings):
    settings = read_settings(maintenance={"backup": {"s3": BUCKET}})
    assert (settings.backup_volume, settings.maintenance.backup.s3.bucket) == (None, "backups")
    assert read_settings(maintenance={"backup": {}}).backup_volume == "registry_backup"


def test_backups_go_to_one_place(problem):
    line = problem({"backup": {"s3": BUCKET, "volume": "registry_backup"}})

    assert line.startswith("backup.volume: is set beside s3")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("endpoint", "s3.lan", "is no address of an S3 server"),
        ("endpoint", "https://s3.lan/backups", "is no address of an S3 server"),
        ("endpoint", "https://user:hidden@s3.lan", "is no address of an S3 server"),
        ("bucket", "Backups", "'Backups' does not have the accepted form"),
        ("prefix", "/nas", "'/nas' does not have the accepted form"),
        ("prefix", "nas/../x", "'nas/../x' does not have the accepted form"),
        ("region", "eu central", "'eu central' does not have the accepted form"),
        ("accessKey", "", "the value (not shown)"),
        ("secretKey", None, "is required"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_refused_and_no_key_is_shown(problem, key, value, words):
    bucket = {name: each for name, each in {**BUCKET, key: value}.items() if each is not None}
    line = problem({"backup": {"s3": bucket}})

    assert line.startswith(f"backup.s3.{key}: ")
    assert words in line
    assert "hidden" not in line


ANY = [{"garbageCollection": {}}, {"backup": {}}, {"retention": {"rules": [RULE]}}]


@pytest.mark.parametrize("section", ANY, ids=str)
def test_what_removes_something_is_refused_with_a_cache_that_outlives_it(problem, section):
    config = {"storage": {"cache": {"blobdescriptor": "redis"}}, "redis": {"addrs": ["127.0.0.1:6379"]}}

    line = problem(section, registry={"config": config})
    assert "leaves what is gone in the cache" in line

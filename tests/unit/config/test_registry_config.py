from config import registry as registry_model
from config.registry_config import merged_config, redis_config, s3_config
from config.sections.instances import Redis
from config.sections.s3 import S3

V2, V3 = registry_model.RegistryVersion.V2, registry_model.RegistryVersion.V3
AT_HOME = S3.model_validate(
    {
        "bucket": "images",
        "region": "any",
        "endpoint": "http://s3.lan:8333/",
        "accessKey": "AKIA",
        "secretKey": "hunter2",
        "prefix": "registry/a",
    }
)
REDIS = Redis(address="redis.lan:6379", password="hunter2")


def test_a_server_at_home_is_asked_by_path_style():
    assert s3_config(AT_HOME, V3)["storage"]["s3"] == {
        "region": "any",
        "bucket": "images",
        "regionendpoint": "http://s3.lan:8333",
        "forcepathstyle": True,
        "accesskey": "AKIA",
        "secretkey": "hunter2",
        "rootdirectory": "/registry/a",
    }


def test_2_x_gets_no_key_that_it_does_not_know():
    assert "forcepathstyle" not in s3_config(AT_HOME, V2)["storage"]["s3"]


def test_a_bucket_of_amazons_needs_a_name_and_a_region():
    given = s3_config(S3(bucket="images", region="eu-central-1"), V3)["storage"]["s3"]

    assert given == {"region": "eu-central-1", "bucket": "images"}


def test_clients_are_sent_to_the_bucket_only_if_that_is_wanted():
    to_bucket = S3(bucket="images", region="any", redirect=True)

    assert s3_config(AT_HOME, V3)["storage"]["redirect"] == {"disable": True}
    assert s3_config(to_bucket, V3)["storage"]["redirect"] == {"disable": False}


def test_redis_is_written_as_each_version_reads_it():
    v2, v3 = redis_config(REDIS, V2)["redis"], redis_config(REDIS, V3)["redis"]

    assert v2["addr"] == "redis.lan:6379" and "addrs" not in v2
    assert v3["addrs"] == ["redis.lan:6379"] and "pool" not in v3


def test_what_the_settings_make_is_what_the_model_of_each_version_accepts():
    for version in (V2, V3):
        made = merged_config({}, version, s3=AT_HOME, redis=REDIS)

        assert list(registry_model.check(made, version)) == []
        assert "filesystem" not in made["storage"]
        assert made["storage"]["cache"] == {"blobdescriptor": "redis"}


def test_finer_keys_of_the_stack_are_merged_over_the_settings():
    config = {"storage": {"s3": {"chunksize": 10485760}}, "redis": {"db": 2}}
    made = merged_config(config, V3, s3=AT_HOME, redis=REDIS)

    assert (made["storage"]["s3"]["bucket"], made["storage"]["s3"]["chunksize"]) == ("images", 10485760)
    assert (made["redis"]["addrs"], made["redis"]["db"]) == (["redis.lan:6379"], 2)

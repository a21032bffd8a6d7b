import json


def test_the_schema_of_a_stack_file_is_printed_as_json(ops):
    schema = json.loads(ops("schema").output)

    assert "docker-registry:registry" in schema["properties"]["config"]["properties"]

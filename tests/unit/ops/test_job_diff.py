from ops.job_diff import job_diff


def field(name, old, new, kind="Edited", **more):
    return {"Name": name, "Old": old, "New": new, "Type": kind, "Annotations": None, **more}


def plan(*, fields=(), objects=(), updates=None, kind="Edited"):
    task = {"Name": "registry", "Type": kind, "Fields": list(fields), "Objects": list(objects)}
    task["Annotations"] = ["forces create/destroy update"]
    group = {"Name": "registry", "Type": kind, "Fields": None, "Objects": None, "Tasks": [task]}
    group["Updates"] = updates
    return {"Diff": {"ID": "docker-registry", "Type": kind, "Fields": None, "TaskGroups": [group]}}


def test_an_edited_value_goes_and_comes():
    same, memory = field("CPU", "500", "500", "None"), field("MemoryMB", "512", "768")
    resources = {"Name": "Resources", "Type": "Edited", "Fields": [same, memory], "Objects": None}

    assert job_diff(plan(objects=[resources], updates={"create/destroy update": 1})) == [
        "  job docker-registry (1 create/destroy update)",
        "    group registry",
        "      task registry (forces create/destroy update)",
        "        Resources",
        "-         MemoryMB: 512",
        "+         MemoryMB: 768",
    ]


def test_a_file_is_compared_line_by_line():
    old = "\n".join(["a", "b", "c", "level: info", "d", "e", "f"])
    told = job_diff(plan(fields=[field("EmbeddedTmpl", old, old.replace("info", "debug"))]))

    assert told[3:] == [
        "        EmbeddedTmpl:",
        "          …",
        "          b",
        "          c",
        "-         level: info",
        "+         level: debug",
        "          d",
        "          e",
    ]


def test_what_comes_new_has_a_plus_and_what_goes_a_minus():
    port = {"Name": "Static Port", "Type": "Added", "Fields": [field("Label", "", "metrics", "Added")]}
    told = job_diff(plan(fields=[field("Env[FOO]", "bar", "", "Deleted")], objects=[port]))

    assert told[3:] == [
        "-       Env[FOO]: bar",
        "+       Static Port",
        "+         Label: metrics",
    ]


def test_a_job_that_is_the_same_has_no_lines():
    assert job_diff(plan(kind="None")) == []

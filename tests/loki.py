"""What Promtail, Alloy and Loki do with lines, as far as our pipelines and queries ask for it.

They are not run by our tests. What a pipeline or a query has that is not known here is an error.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime

import yaml

JOB_LABEL = "__meta_docker_container_label_com_hashicorp_nomad_job_name"
TASK_LABEL = "__meta_docker_container_label_com_hashicorp_nomad_task_name"


@dataclass(frozen=True)
class Line:
    """A line in Loki, with the labels of its stream and, within a query, those that were taken out of it."""

    text: str
    labels: dict
    time: str | None = None


@dataclass(frozen=True)
class Pipeline:
    """Relabelling rules and stages, in the words of Promtail's configuration."""

    rules: list
    stages: list

    def collect(self, job, task, lines):
        """The lines of a container, as they get to Loki."""
        labels = self._relabelled({JOB_LABEL: job, TASK_LABEL: task})
        if labels is None:
            return []
        made = (_staged(self.stages, Line(line, labels), {}) for line in lines)
        return [line for line in made if line]

    def _relabelled(self, meta):
        labels = dict(meta)
        for rule in self.rules:
            value = ";".join(labels.get(name, "") for name in rule["source_labels"])
            found = re.fullmatch(rule.get("regex", "(.*)"), value)
            match rule.get("action", "replace"):
                case "keep" if not found:
                    return None
                case "replace" if found:
                    labels[rule["target_label"]] = found[1]
        return {name: value for name, value in labels.items() if not name.startswith("__")}


def promtail(text):
    """Read promtail.yml."""
    [scrape] = yaml.safe_load(text)["scrape_configs"]
    return Pipeline(scrape["relabel_configs"], scrape["pipeline_stages"])


def alloy(text):
    """Read config.alloy."""
    blocks = _blocks(text)
    rules = [dict(content) for name, content in blocks["discovery.relabel"] if name == "rule"]
    return Pipeline(rules, _stages(blocks["loki.process"]))


def _blocks(text):
    """The blocks of an Alloy file by name, each a list of attributes and of blocks within."""
    root = []
    open_blocks = [root]
    for line in (line.strip() for line in text.splitlines()):
        if not line or line.startswith("//"):
            continue
        if line == "}":
            open_blocks.pop()
        elif line.endswith("{"):
            content = []
            open_blocks[-1].append((line.split()[0], content))
            open_blocks.append(content)
        else:
            key, value = re.fullmatch(r"(\w+)\s*= (.+)", line).groups()
            open_blocks[-1].append((key, _value(value)))
    assert open_blocks == [root], "a bracket is missing"
    return dict(root)


def _value(text):
    if text.startswith("{"):
        text = re.sub(r"(\w+) = ", r'"\1": ', text)
    try:
        return json.loads(text)
    except ValueError:
        return text  # an expression of Alloy's


def _stages(content):
    found = []
    for name, inner in content:
        if name.startswith("stage."):
            made = {key: value for key, value in inner if not key.startswith("stage.")}
            if name == "stage.labels":
                made = {label: source or None for label, source in made["values"].items()}
            stages = _stages(inner)
            found.append({name.removeprefix("stage."): made | ({"stages": stages} if stages else {})})
    return found


def _staged(stages, line, extracted):
    """A line after the stages, None if one drops it (Grafana: Promtail pipeline stages)."""
    for stage in stages:
        [(name, given)] = stage.items()
        match name:
            case "match":
                if _selects(_Query(given["selector"]).selector(), line):
                    line = _staged(given["stages"], line, extracted)
            case "drop":
                # What Go takes for a bracket Python may want escaped.
                if re.search(given["expression"].replace("[[]", r"\["), line.text):
                    return None
            case "json":
                found = _json(line.text) or {}
                extracted.update({key: found.get(field) for key, field in given["expressions"].items()})
            case "timestamp":
                assert given["format"] == "RFC3339Nano"
                if moment := extracted.get(given["source"]):
                    datetime.fromisoformat(moment)
                    line = replace(line, time=moment)
            case "labels":
                made = {label: extracted.get(source or label) for label, source in given.items()}
                line = replace(line, labels=line.labels | {key: made[key] for key in made if made[key]})
            case _:
                raise AssertionError(f"stage {name} is not known here")
        if line is None:
            return None
    return line


def _json(text):
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def run(query, lines):
    """What a LogQL query gives of all these lines: lines, or numbers by the value of the one label."""
    parser = _Query(query)
    evaluate = parser.expression()
    assert parser.tokens == [""], f"this is too much: {parser.tokens}"
    return evaluate(lines)


class _Query:
    """A parser of LogQL that gives functions of lines."""

    TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|`[^`]*`|\|=|\|~|!=|!~|=~|[\w$.]+|[|={}()\[\],]|$)')

    def __init__(self, text):
        self.text, self.tokens, place = text, [], 0
        while not self.tokens or self.tokens[-1]:
            found = self.TOKEN.match(text, place)
            assert found, f"{text[place:]!r} is not LogQL that is known here"
            self.tokens.append(found[1])
            place = found.end()

    def take(self):
        assert self.tokens[0], f"this ends too early: {self.text}"
        return self.tokens.pop(0)

    def expect(self, *wanted):
        for each in wanted:
            found = self.take()
            assert found == each, f"{found!r} stands where {each!r} has to: {self.text}"

    def string(self):
        token = self.take()
        assert token[:1] in ('"', "`"), f"{token!r} stands where a text has to: {self.text}"
        return token[1:-1] if token[0] == "`" else json.loads(token)

    def expression(self):
        match self.tokens[0]:
            case "topk":
                self.expect("topk", "(")
                count = int(self.take())
                self.expect(",")
                inner = self.expression()
                self.expect(")")
                return lambda lines: dict(Counter(inner(lines)).most_common(count))
            case "sum":
                self.expect("sum", "by", "(")
                label = self.take()
                self.expect(")", "(", "count_over_time", "(")
                inner = self.pipeline()
                self.expect("[", "$__interval", "]", ")", ")")
                return lambda lines: _counted(inner(lines), label)
        return self.pipeline()

    def pipeline(self):
        steps = [self.selection(), *self.filters()]

        def evaluate(lines):
            for step in steps:
                lines = [made for made in map(step, lines) if made]
            return lines

        return evaluate

    def selection(self):
        matchers = self.selector()
        return lambda line: line if _selects(matchers, line) else None

    def selector(self):
        """Labels of streams, each with what its value has to be."""
        self.expect("{")
        matchers = []
        while self.tokens[0] != "}":
            matchers.append((self.take(), _COMPARISONS[self.take()], self.string()))
            if self.tokens[0] == ",":
                self.take()
        self.expect("}")
        return matchers

    def filters(self):
        while self.tokens[0] in ("|", *_LINE_FILTERS):
            token = self.take()
            if token in _LINE_FILTERS:
                yield self.line_filter(token)
                continue
            match self.take():
                case "json":
                    yield _with_json
                case "regexp":
                    yield self.regexp()
                case label:
                    matcher = (label, _COMPARISONS[self.take()], self.string())
                    yield lambda line, matcher=matcher: line if _selects([matcher], line) else None

    def line_filter(self, token):
        holds, wanted = _LINE_FILTERS[token], self.string()
        return lambda line: line if holds(wanted, line.text) else None

    def regexp(self):
        wanted = re.compile(self.string())
        assert wanted.groupindex, "Loki refuses a regexp that names nothing"

        def matched(line):
            found = wanted.search(line.text)
            return replace(line, labels=line.labels | _new(found.groupdict(), line)) if found else line

        return matched


_COMPARISONS = {
    "=": lambda wanted, value: value == wanted,
    "!=": lambda wanted, value: value != wanted,
    "=~": lambda wanted, value: re.fullmatch(wanted, value) is not None,
    "!~": lambda wanted, value: re.fullmatch(wanted, value) is None,
}
_LINE_FILTERS = {
    "|=": lambda wanted, text: wanted in text,
    "!=": lambda wanted, text: wanted not in text,
    "|~": lambda wanted, text: re.search(wanted, text) is not None,
    "!~": lambda wanted, text: re.search(wanted, text) is None,
}


def _selects(matchers, line):
    """Whether the labels of a line are so; one that it has not is empty."""
    return all(holds(wanted, line.labels.get(label, "")) for label, holds, wanted in matchers)


def _with_json(line):
    found = _json(line.text)
    if found is None:
        return replace(line, labels=line.labels | {"__error__": "JSONParserErr"})
    fields = {re.sub(r"\W", "_", key): str(value) for key, value in found.items()}
    return replace(line, labels=line.labels | _new(fields, line))


def _new(fields, line):
    """Labels for what was taken out of a line: one that its stream has too gets another name."""
    return {f"{key}_extracted" if key in line.labels else key: value for key, value in fields.items()}


def _counted(lines, label):
    for line in lines:
        assert "__error__" not in line.labels, f"Loki refuses to count: {line.text}"
    return dict(Counter(line.labels.get(label, "") for line in lines))

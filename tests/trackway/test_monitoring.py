"""Dashboard and alert rules use what is declared, and each alert has its page of what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.statuses import CODES
from eventlog.telemetry import BY_NAME, METRICS, REFUSED_CODES
from trackway.exporting import ADMIN_LISTEN
from trackway.settings import Settings

ALERTS = Path("examples/alerts.yml")
BOARD = Path("examples/grafana.json")
PAGE = Path("docs/monitoring.md")
# Prometheus's own.
FOREIGN = {"up": {"job", "instance"}}
EVERYWHERE = {"job", "instance", "le"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(BOARD.read_text())["panels"]
    return found


def expressions() -> list[str]:
    of_panels = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    return [*(rule["expr"] for rule in rules()), *of_panels]


def used(expression: str) -> Iterator[tuple[str, str]]:
    """Every metric of an expression with its matchers."""
    yield from re.findall(r"\b(trackway_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?", expression)


def declared(name: str) -> str:
    """The name under which a series is declared: a histogram has several."""
    short = re.sub(r"_(bucket|sum|count)$", "", name)
    return short if short in BY_NAME and BY_NAME[short].kind == "histogram" else name


@pytest.mark.parametrize("expression", expressions())
def test_what_an_expression_asks_for_is_declared(expression: str) -> None:
    found = list(used(expression))
    assert found
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)
    labels: set[str] = set()
    for name, matchers in found:
        assert name in FOREIGN or declared(name) in BY_NAME, name
        metric = BY_NAME.get(declared(name))
        known = FOREIGN.get(name) or set(metric.labels if metric else ()) | EVERYWHERE
        labels |= known
        for label, value in re.findall(r'(\w+)(?:=~|!~|!=|=)"([^"]*)"', matchers):
            assert label in known, f"{name} has no label {label}"
            values = metric.labels.get(label) if metric else None
            if isinstance(values, tuple):
                assert set(value.split("|")) <= set(values)
        # A rate is of a counter or a histogram, a bare value is not of a counter.
        counts = metric is not None and metric.kind != "gauge"
        ranged = re.search(re.escape(name) + r"(\{[^}]*\})?\[", expression) is not None
        assert not (counts and not ranged), f"{name} only grows: ask for its rate or increase"
    for grouped in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        assert {one.strip() for one in grouped.split(",")} <= labels


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {
        declared(name) for panel in panels() for target in panel.get("targets", []) for name, _ in used(target["expr"])
    }
    assert {metric.name for metric in METRICS} - shown == set()


def test_rules_have_the_shape_that_prometheus_takes() -> None:
    told = yaml.safe_load(ALERTS.read_text())
    assert set(told) == {"groups"}
    assert all(set(group) == {"name", "rules"} for group in told["groups"])
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) > 10
    for rule in rules():
        assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert re.fullmatch(r"Trackway[A-Za-z]+", rule["alert"])
        assert re.fullmatch(r"\d+[smhd]", rule.get("for", "1m"))
        assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
        assert set(rule["annotations"]) == {"summary", "runbook"}
        shown = re.findall(r"\{\{ \$labels\.(\w+) \}\}", rule["annotations"]["summary"])
        by = re.search(r"^(?:sum|max) by \(([^)]*)\)", rule["expr"])
        if by:
            # What the sum has lost cannot be shown.
            assert set(shown) <= {one.strip() for one in by.group(1).split(",")}


def test_every_service_is_scraped_where_it_listens() -> None:
    told = yaml.safe_load(Path("examples/prometheus.yml").read_text())
    (job,) = told["scrape_configs"]
    settings = Settings()
    listens = {settings.collect.listen_metrics, settings.aggregate.listen, ADMIN_LISTEN}
    assert set(job["static_configs"][0]["targets"]) == listens
    # The alert on a process that does not answer knows the job by its name.
    assert re.fullmatch("trackway.*", job["job_name"])
    assert told["rule_files"] == [ALERTS.name]


def test_every_alert_has_its_paragraphs_and_no_other_has() -> None:
    headings = re.findall(r"^### (Trackway\w+)$", PAGE.read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"{PAGE}#{rule['alert'].lower()}"
    for text in re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        assert "**Means**" in text
        assert "**Do**" in text


def test_metrics_named_in_the_docs_are_declared() -> None:
    for page in (*Path("docs").glob("*.md"), Path("README.md")):
        # A name cut short by "…" is another thing's: a schema's, a file's.
        for name in re.findall(r"\btrackway_[a-z0-9_]+\b(?!…)", page.read_text()):
            assert declared(name) in BY_NAME, f"{page}: {name}"


def test_panels_do_not_overlap_and_each_says_why() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"].endswith(".")


def test_codes_of_whole_refusals_are_in_the_closed_list() -> None:
    """Whoever answers with a code that metrics do not know would break them."""
    assert set(CODES) - set(REFUSED_CODES) == set()

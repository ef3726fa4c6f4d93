"""What a workflow's settings may be, and what is said of what they may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from exporter.settings import ExporterSettings
from exporter.workflow import CdpAccount, WorkflowSettings, find_workflow

ACCOUNT = {"account_number": "12345"}


def workflow(**changes: Any) -> WorkflowSettings:
    return WorkflowSettings.model_validate({"kind": "user", "from": "profiles", "stream_id": "s" * 35} | changes)


def settings(**changes: Any) -> ExporterSettings:
    given = {"cdp": {"default": ACCOUNT}, "workflows": {"people": workflow(**changes).model_dump(by_alias=True)}}
    return ExporterSettings.model_validate(given)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"every": "* * *", "mode": "live"}, "five fields are needed"),
        ({"every": "61 * * * *", "mode": "live"}, "is no schedule"),
        ({"every": "@hourly"}, "needs `mode: draft` or `mode: live`"),
        ({"from": "events"}, "reads from ndjson or profiles, not from events"),
        ({"from": "ndjson"}, "`path` belongs to `ndjson` and is needed there"),
        ({"from": {"kind": "profiles", "names": ["visit"]}}, "`names` belongs to `events`"),
        ({"stream_id": " "}, "must be the id the CDP shows"),
        ({"processors": ["skip"]}, "need a field type"),
        ({"processors": ["json:x", "json:x"]}, "the processor json:x is there twice"),
        ({"processors": ["shout:x"]}, "'skip', 'json' or 'date_of_birth'"),
        ({"kind": "content", "from": "ndjson:f", "processors": ["date_of_birth"]}, "a processor of users"),
        ({"kind": "interaction", "from": "events", "write_mode": "overwrite"}, "always appended"),
        ({"stream": "x"}, "Extra inputs"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        workflow(**changes)


def test_a_workflow_needs_an_account() -> None:
    with pytest.raises(ValidationError, match="workflow 'people' has the scope 'default', and `cdp` has neither"):
        ExporterSettings.model_validate({"workflows": {"people": workflow().model_dump(by_alias=True)}})


@pytest.mark.parametrize("number", ["", "12a", "12345678901"])
def test_an_account_number_is_digits(number: str) -> None:
    with pytest.raises(ValidationError, match="account_number"):
        CdpAccount(account_number=number)


def test_the_ledger_knows_a_workflow_whatever_its_name_and_schedule() -> None:
    one = find_workflow(settings(), "people")
    assert one.id == find_workflow(settings(every="@daily", mode="draft"), "people").id
    assert one.id != find_workflow(settings(stream_id="t" * 35), "people").id
    assert one.fingerprint != find_workflow(settings(processors=["date_of_birth"]), "people").fingerprint
    assert "s" * 5 not in one.id + one.stream
    assert one.stream_tail == "…ssss"

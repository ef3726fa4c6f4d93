"""`rejected` as a command: what it says of rules that cannot be used, and what it does while nothing else runs."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest

from eventlog.topics import REJECTED
from tests.end_to_end.installation import eventually
from tests.trackway.commanding import commanding
from tests.trackway.processes import collecting, config_in, running, stored


def test_what_is_wrong_with_rules_is_told_with_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text("- remove: /a\n- cast: /b\n  to: numbr\n\n- set: c\n  valeu: 1\n  when: {resaon: x}\n")
    with commanding(config_in(tmp_path), capsys) as command:
        done = command.run("rejected", "repair", str(rules))
    assert done.code == 2
    assert done.said.splitlines() == [
        f"{rules}:3: [1].to: no such type; did you mean `number`?; use text, number, whole, flag, time",
        f"{rules}:6: [2].valeu: unknown key; did you mean `value`?",
        f"{rules}:5: [2].set: `set` needs `value`",
        f"{rules}:5: [2].set: a JSON pointer begins with a slash, such as /properties/price",
        f"{rules}:7: [2].when.resaon: unknown key; did you mean `reason`?",
    ]


def test_what_is_replayed_while_nothing_runs_is_sent_by_the_next_aggregator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_in(tmp_path)
    with config.open("a") as file:
        file.write(f"store: sqlite:///{tmp_path}/store.db\naggregate: {{listen: '127.0.0.1:0'}}\n")
    batch = [{"type": "track", "messageId": "m", "userId": "ada@mail.example", "event": 7},
             {"type": "track", "messageId": "n", "userId": [], "event": "x"}]  # fmt: skip
    with collecting(config) as url:
        assert httpx2.post(f"{url}/v1/batch", json={"batch": batch}, auth=("sk_shop", ""), timeout=30).is_success
    assert len(stored(config, REJECTED)) == 2

    with commanding(config, capsys) as command:
        told = json.loads(command("rejected", "show", "m", "--json").out)
        assert (told["reason"], told["event"]["event"], told["event"]["userId"]) == ("wrong_type", 7, "a…@m…")
        clear = command("rejected", "show", told["record"], "--json", "--pii", "--reason", "a test")
        assert json.loads(clear.out)["event"]["userId"] == "ada@mail.example"
        assert command.run("rejected", "show", "none").code == 1

        # As it is, it is refused still.
        done = command.run("rejected", "replay", "--id", "m", "--apply")
        assert (done.code, "refused: wrong_type at event" in done.out) == (1, True), done.out
        rules = tmp_path / "rules.yml"
        rules.write_text("- {cast: /event, to: text}\n")
        waits = "1 event waits in the store and is sent once `trackway up` or `trackway aggregate` runs"
        assert waits in command("rejected", "repair", str(rules), "--apply").said
        assert "nothing was sent" in command("rejected", "repair", str(rules), "--apply").said
    assert stored(config) == []
    with running("aggregate", config):
        eventually(lambda: stored(config), "the aggregator to send it")
    (event,) = stored(config)
    assert (event["id"], event["name"], event["user_id"]) == ("m", "7", "ada@mail.example")

"""Consent strings as the IAB's own library writes them."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Final

import pytest

from collector.tcf import read_tcf

pytestmark = pytest.mark.sdks

_FOLDER: Final = Path(__file__).parent / "node" / "tcf"
_BY_INTEREST: Final = (2, 7, 8, 9, 10, 11)


def test_every_string_the_library_writes_says_the_purposes_it_was_given() -> None:
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    wanted = [
        {
            "consents": [number for number in range(1, 25) if choose.random() < 0.5],
            "interests": [number for number in _BY_INTEREST if choose.random() < 0.5],
            "vendors": sorted(choose.sample(range(1, 1500), choose.choice((0, 1, 5, 300)))),
            "publisher": choose.random() < 0.5,
        }
        for _ in range(200)
    ]
    made = subprocess.run(
        ["node", "encode.js"], cwd=_FOLDER, input="\n".join(map(json.dumps, wanted)), capture_output=True, text=True,
        check=True, timeout=60,
    ).stdout.split()  # fmt: skip
    assert len(made) == len(wanted)
    for one, text in zip(wanted, made, strict=True):
        assert read_tcf(text) == (set(one["consents"]), set(one["interests"])), (seed, one, text)  # type: ignore[call-overload]

"""What is read of an IAB TCF v2 consent string."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.tcf import read_tcf

NO: frozenset[int] = frozenset()
ELEVEN = frozenset(range(1, 12))
# Made by the framework's own encoder for JavaScript, with vendors as bits, as ranges and without any.
MADE: dict[str, tuple[frozenset[int], frozenset[int]]] = {
    "CQuPXIAQuPXIAAfABAENAwFAAIGAAEIAAAYgAAAAAAAA.IAAA": (frozenset((1, 8, 9)), frozenset((2, 7))),
    "CQuPXIAQuPXIAAfABAENAwFgAAAAAAAAAAYgF5wAoAAgAEAvMC84AUAAQACAXmAA.YAAAAAAAAAAA": (NO, NO),
    "CQuPXIAQuPXIAAfABAENAwFgAP_gAEPgAAYgImQBIAAgAaABwBeYETARMgCQABAA0ADgC8wImAAA.YAAAAAAAAAAA": (
        ELEVEN,
        frozenset((2, 7, 8, 9, 10, 11)),
    ),
    "CQuPXIAQuPXIAAfABAENAwFAAAAAAUAAAAYgABiAAYgAAAAA.IABi": (frozenset((24,)), frozenset((2,))),
}


@pytest.mark.parametrize("text", MADE)
def test_purposes_are_those_the_frameworks_own_encoder_wrote(text: str) -> None:
    assert read_tcf(text) == MADE[text]
    assert read_tcf(f" {text.partition('.')[0]} ") == MADE[text]


GOOD = next(iter(MADE))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "C",
        GOOD[:40],
        # Version 1, as it was until 2020.
        "BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASAAAAAAAAAAAAAAAAAA",
        "D" + GOOD[1:],
        GOOD.replace("Q", "ü"),
        GOOD.replace("Q", "%"),
        "." + GOOD,
        "1YNN",
        "x" * 100_000,
    ],
)
def test_what_is_no_string_of_version_2_states_nothing(text: str) -> None:
    assert read_tcf(text) is None


purposes = st.frozensets(st.integers(1, 24))


def encoded(consents: frozenset[int], interests: frozenset[int], around: tuple[int, int], vendors: int) -> str:
    """A core whose other fixed fields are the bits of `around`, with that many vendors, one bit each."""
    before, after = around
    bits = f"{2:06b}{before:0146b}"
    for numbers in (consents, interests):
        bits += "".join("1" if number in numbers else "0" for number in range(1, 25))
    bits += f"{after:013b}"
    for _ in range(2):
        bits += f"{vendors:016b}0" + "1" * vendors
    bits += "0" * 12
    bits += "0" * (-len(bits) % 8)
    made = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


@given(purposes, purposes, st.tuples(st.integers(0, 2**146 - 1), st.integers(0, 2**13 - 1)), st.integers(0, 2_000))
def test_nothing_beside_the_purposes_changes_them(
    consents: frozenset[int], interests: frozenset[int], around: tuple[int, int], vendors: int
) -> None:
    text = encoded(consents, interests, around, vendors)
    assert read_tcf(text) == (consents, interests)
    assert read_tcf(text + ".YAAAAAAAAAAA") == (consents, interests)


@given(st.text() | st.from_regex(r"C[A-Za-z0-9_-]{30,60}(\.[A-Za-z0-9_-]*)?", fullmatch=True))
def test_no_text_is_too_much(text: str) -> None:
    found = read_tcf(text)
    assert found is None or found.consents | found.legitimate_interests <= frozenset(range(1, 25))

"""Token buckets: how much, how soon again, for whom, and in how much memory."""

from __future__ import annotations

import timeit

import pytest

from collector.rates import Rate, limited_as
from collector.statuses import Overload


def allowed(rate: Rate, name: str, events: int, now: float) -> bool:
    try:
        rate.take(name, events, now)
    except Overload:
        return False
    return True


def test_a_burst_then_the_rate() -> None:
    rate = Rate(10, 5, "this key")
    assert sum(allowed(rate, "k", 1, 100.0) for _ in range(60)) == pytest.approx(50, abs=1)
    assert allowed(rate, "other", 1, 100.0)
    later = [allowed(rate, "k", 1, 100.0 + tick / 100) for tick in range(1, 1001)]
    assert sum(later) == pytest.approx(100, abs=2)


def test_a_batch_larger_than_the_burst_passes_and_is_paid_for() -> None:
    rate = Rate(10, 5, "this key")
    assert allowed(rate, "k", 1000, 0.5)
    with pytest.raises(Overload) as caught:
        rate.take("k", 1, 60.0)
    assert caught.value.code == "rate_limited"
    assert 35 <= caught.value.retry_after <= 36
    assert allowed(rate, "k", 1000, 96.0)


@pytest.mark.parametrize(("debt", "seconds"), [(5.0, 1), (10_000, 60)])
def test_nobody_is_told_to_wait_for_less_than_a_second_or_for_ever(debt: float, seconds: int) -> None:
    rate = Rate(1, 5, "this key")
    rate.take("k", int(debt), 1.0)
    with pytest.raises(Overload) as caught:
        rate.take("k", 1, 1.0)
    assert caught.value.retry_after == seconds


def test_no_rate_refuses_nobody() -> None:
    rate = Rate(0, 5, "this key")
    assert all(allowed(rate, "k", 5000, 1.0) for _ in range(100))
    assert len(rate) == 0


def test_a_flood_of_addresses_takes_bounded_memory_and_frees_nobody_who_is_busy() -> None:
    rate = Rate(1, 10, "this address")
    assert allowed(rate, "busy", 1000, 1.0)
    for number in range(300_000):
        rate.take(number, 1, 2.0)
        if number % 40_000 == 0:
            assert not allowed(rate, "busy", 1, 2.0)
    assert len(rate) <= 100_001


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("203.0.113.7", None),  # of documentation, so not public
        ("8.8.8.8", "8.8.8.8"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("2a00:1450:4001:81b::200e", "2a00:1450:4001:081b"),
        ("2a00:1450:4001:81b:1:2:3:4", "2a00:1450:4001:081b"),
        ("100.64.0.1", "100.64.0.1"),  # many customers of one provider: still strangers
        ("127.0.0.1", None), ("::1", None), ("10.1.2.3", None), ("192.168.0.9", None), ("fe80::1", None),
        ("", None), ("unknown", None),
    ],
)  # fmt: skip
def test_addresses_are_limited_as_what_one_household_has(address: str, name: str | None) -> None:
    assert limited_as(address) == name


def test_it_costs_little() -> None:
    rate = Rate(1e9, 20, "this address")
    rounds = 20_000
    took = min(timeit.repeat(lambda: rate.take(limited_as("8.8.8.8"), 1, 1.0), number=rounds, repeat=5)) / rounds
    assert took < 10e-6  # tenfold slack

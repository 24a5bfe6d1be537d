"""Producers' shares: bursts, debts, and how long they last."""

from __future__ import annotations

import pytest

from pushsvc.core.resources import quota
from pushsvc.core.resources.account import Account
from pushsvc.core.resources.quota import Quotas
from pushsvc.errors import TooMany

A, B = Account("a"), Account("b")


def test_a_burst_and_then_the_rate() -> None:
    quotas = Quotas(100.0, 10.0)
    quotas.charge(A, 900, 0.0)
    quotas.charge(A, 200, 0.0)
    with pytest.raises(TooMany, match=r"limits\.samples_per_second") as caught:
        quotas.charge(A, 1, 0.0)
    assert caught.value.extra["retry_after"] == pytest.approx(1.0)
    quotas.refuse(A, 1.1)
    quotas.charge(B, 1, 0.0)


def test_a_batch_beyond_the_share_is_slow_and_not_impossible() -> None:
    quotas = Quotas(100.0, 1.0)
    quotas.charge(A, 1_100, 0.0)
    with pytest.raises(TooMany):
        quotas.refuse(A, 9.0)
    quotas.charge(A, 1_100, 10.5)


def test_what_is_refused_is_not_charged() -> None:
    quotas = Quotas(10.0, 1.0)
    quotas.charge(A, 20, 0.0)
    for _ in range(100):
        with pytest.raises(TooMany):
            quotas.charge(A, 20, 0.5)
    quotas.refuse(A, 1.01)


def test_who_has_not_come_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "_KNOWN", 3)
    quotas = Quotas(10.0, 1.0)
    for producer in (A, B, Account("c"), Account("d")):
        quotas.charge(producer, 1_000, 0.0)
    quotas.refuse(A, 0.0)
    with pytest.raises(TooMany):
        quotas.refuse(B, 0.0)

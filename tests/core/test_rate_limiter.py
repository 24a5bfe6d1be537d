"""The token bucket: bursts, the rate after them, and what isn't saved up."""

from __future__ import annotations

from pushsvc.core.resources.rate_limiter import RateLimiter


def test_a_burst_then_the_rate() -> None:
    limiter = RateLimiter(2.0, 3.0, now=10.0)
    assert [limiter.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert not limiter.take(10.4)
    assert limiter.take(10.5)
    assert not limiter.take(10.5)


def test_no_more_than_a_burst_is_saved_up() -> None:
    limiter = RateLimiter(2.0, 3.0, now=0.0)
    assert sum(limiter.take(1_000.0) for _ in range(10)) == 3


def test_what_is_refused_costs_nothing() -> None:
    limiter = RateLimiter(1.0, 1.0, now=0.0)
    assert limiter.take(0.0)
    assert not any(limiter.take(tenth / 10) for tenth in range(10))
    assert limiter.take(1.0)

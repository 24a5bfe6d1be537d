"""What is kept of a log, and what goes: for any past."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pushsvc.journal.keeping import Bounds, Mark, choose_horizon, superfluous

STEPS = st.lists(
    st.tuples(
        st.integers(0, 200_000),  # milliseconds
        st.integers(0, 500),  # samples
        st.integers(1, 5_000),  # bytes
        st.booleans(),  # whether a snapshot is kept
    ),
    min_size=1,
    max_size=80,
)
BOUNDS = st.builds(
    Bounds, st.floats(0, 1_000), st.integers(4, 50_000), st.none() | st.integers(4, 5_000)
)


@given(STEPS, BOUNDS)
def test_as_much_is_kept_as_is_said(
    steps: list[tuple[int, int, int, bool]], bounds: Bounds
) -> None:
    horizon, end = Mark(), Mark()
    ever: list[Mark] = []
    kept: list[Mark] = []
    for passed, samples, size, snapshot in steps:
        end = Mark(
            end.seq + 1,
            end.stamp + passed,
            end.entries + 1,
            end.samples + samples,
            end.bytes + size,
        )
        if not snapshot:
            continue
        ever.append(end)
        kept.append(end)
        before, horizon = horizon, choose_horizon(horizon, kept, end, bounds)
        gone = superfluous(horizon, kept, bounds)
        kept = [mark for mark in kept if mark not in gone]

        assert horizon.seq >= before.seq
        assert horizon == Mark() or kept[0] == horizon, "reading begins at a snapshot"
        assert kept[-1] == end, "the newest stays"
        if horizon != before:
            passed_over = [mark for mark in [before, *ever] if before.seq <= mark.seq < horizon.seq]
            assert all(
                horizon.seconds_to(end) >= bounds.seconds or bounds.exceeded(mark, end)
                for mark in passed_over[:1]
            ), "nothing goes too early"
        later = [mark for mark in kept if mark.seq > horizon.seq]
        assert not any(mark.seconds_to(end) >= bounds.seconds for mark in later)
        assert not later or not bounds.exceeded(horizon, end)
        # Few: any three that follow each other span a part of what is kept.
        inner = [horizon, *later][:-1]
        for first, last in zip(inner, inner[2:], strict=False):
            part = bounds.part
            assert first.seconds_to(last) > part.seconds or part.exceeded(first, last)


def test_the_past_is_hardly_longer_than_asked_for() -> None:
    horizon, kept = Mark(), []
    bounds = Bounds(3_600.0, 10**9)
    for minute in range(1, 600):
        end = Mark(minute, minute * 60_000, minute, minute, minute)
        kept.append(end)
        horizon = choose_horizon(horizon, kept, end, bounds)
        gone = superfluous(horizon, kept, bounds)
        kept = [mark for mark in kept if mark not in gone]
        assert len(kept) <= 8
        if minute > 90:
            assert 3_600 <= horizon.seconds_to(end) <= 3_600 * 1.25 + 120

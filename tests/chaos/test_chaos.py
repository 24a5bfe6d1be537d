"""Ten seeds of it, thirty with those that take long; `python -m tests.chaos` runs any number."""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import explain, run

MORE = [pytest.param(first, marks=pytest.mark.long) for first in (10, 20)]


@pytest.mark.parametrize("first", [0, *MORE])
async def test_each_is_given_what_it_is_owed(first: int) -> None:
    failed = await run(range(first, first + 10), 30)
    if failed:
        pytest.fail(await explain(min(failed), 30))

"""Long computations leave the loop its time, and end when the task that waits for them does."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import trio
import trio.testing

from pushsvc.pipeline.background import Background

GiveWay = Callable[[], None]


def adding_up(give_way: GiveWay) -> int:
    total = 0
    for number in range(200_000):
        total += number
        if number % 100 == 0:
            give_way()
    return total


async def spin() -> None:
    """Have the loop always something to do."""
    while True:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("busy", [False, True])
async def test_it_comes_to_an_end_whatever_the_loop_does(busy: bool) -> None:
    background = Background(2)
    async with trio.open_nursery() as nursery:
        if busy:
            nursery.start_soon(spin)
        with trio.fail_after(60):
            assert await background.run(lambda: adding_up) == sum(range(200_000))
        nursery.cancel_scope.cancel()


async def test_who_is_gone_is_computed_nothing_for() -> None:
    begun, ended = threading.Event(), threading.Event()

    def for_ever(give_way: GiveWay) -> None:
        begun.set()
        try:
            while True:
                give_way()
        finally:
            ended.set()

    background = Background(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(background.run, lambda: for_ever)
        with trio.fail_after(30):
            while not begun.is_set():
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert ended.is_set()
    assert await background.run(lambda: adding_up) == sum(range(200_000))


async def test_those_that_wait_have_not_begun() -> None:
    background, go_on, begun = Background(1), threading.Event(), []

    def waiting(give_way: GiveWay) -> None:
        assert go_on.wait(30)

    def begin(name: str) -> Callable[[], Callable[[GiveWay], None]]:
        def begin() -> Callable[[GiveWay], None]:
            begun.append(name)
            return waiting

        return begin

    async with trio.open_nursery() as nursery:
        nursery.start_soon(background.run, begin("first"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(background.run, begin("second"))
        await trio.testing.wait_all_tasks_blocked()
        assert begun == ["first"]
        go_on.set()
    assert begun == ["first", "second"]


async def test_what_raises_or_has_nothing_to_do_leaves_its_place() -> None:
    background = Background(1)

    def broken(_: GiveWay) -> None:
        raise ValueError("broken")

    def nothing() -> Callable[[GiveWay], int] | None:
        return None

    with pytest.raises(ValueError, match="broken"):
        await background.run(lambda: broken)
    assert await background.run(nothing) is None
    assert await background.run(lambda: adding_up) == sum(range(200_000))

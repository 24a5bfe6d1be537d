"""Rules, each broken once on purpose: the simulation has to find every one of these."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgspec
import trio

from pushsvc.core.delivery.replay import Replay
from pushsvc.core.delivery.start import Start
from pushsvc.core.delivery.subscriber import Subscriber
from pushsvc.core.delivery.view import View
from pushsvc.core.delivery.wire import Frame
from pushsvc.core.hub import Hub
from pushsvc.core.model.cursor import Cursor
from pushsvc.core.standing import past
from pushsvc.core.standing.results import Standing
from pushsvc.core.standing.standings import Standings
from pushsvc.core.storage import snapshot
from pushsvc.core.storage.catalog import Catalog, Series
from pushsvc.core.storage.entry import Entry
from pushsvc.core.storage.history import History
from pushsvc.core.storage.holdings import Applied
from pushsvc.core.storage.idempotency import IdempotencyKeys
from pushsvc.core.storage.records import Change, Record, Records
from pushsvc.errors import Rejected
from pushsvc.pipeline import Outcome, Pipeline, clock, snapshots
from pushsvc.pipeline.submissions import Submission, Submissions

Mutation = Callable[[], AbstractContextManager[None]]
MUTATIONS: dict[str, Mutation] = {}


def _replaces(owner: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The mutation with the name of the function, which gets what it stands for first."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        real = getattr(owner, name)

        def replacement(*arguments: Any, **named: Any) -> Any:
            return function(real, *arguments, **named)

        @contextmanager
        def mutation() -> Generator[None]:
            setattr(owner, name, replacement)
            try:
                yield
            finally:
                setattr(owner, name, real)

        MUTATIONS[function.__name__.strip("_")] = mutation
        return function

    return register


@_replaces(Hub, "take")
def _a_refused_entry_has_no_seq(real: Any, hub: Hub, entry: Entry) -> Any:
    before = hub.seq
    try:
        return (yield from real(hub, entry))
    except Rejected:
        hub.seq = before
        raise


@_replaces(IdempotencyKeys, "keep")
def _keys_are_not_remembered(real: Any, once: IdempotencyKeys, kept: Any) -> None:
    pass


@_replaces(IdempotencyKeys, "load")
def _a_snapshot_has_no_keys(real: Any, once: IdempotencyKeys, kept: Any) -> None:
    pass


@_replaces(snapshot, "restore")
def _a_snapshot_has_no_next_ref(real: Any, known: Any, catalog: Catalog, limit: int) -> Any:
    ended = real(known, catalog, limit)
    catalog.next_ref = max((series.ref for series in catalog), default=0) + 1
    return ended


@_replaces(Hub, "begin_anew")
def _who_begins_anew_keeps_the_catalog(real: Any, hub: Hub, epoch: str) -> None:
    catalog = hub.catalog
    real(hub, epoch)
    hub.catalog = catalog


@_replaces(Hub, "begin_anew")
def _who_begins_anew_keeps_the_epoch(real: Any, hub: Hub, epoch: str) -> None:
    real(hub, hub.epoch)


@_replaces(Hub, "begin_anew")
def _who_begins_anew_keeps_the_keys(real: Any, hub: Hub, epoch: str) -> None:
    once = hub._idempotency_keys
    real(hub, epoch)
    hub._idempotency_keys = once


@_replaces(Submission, "__init__")
def _a_batch_is_answered_before_it_is_safe(
    real: Any, one: Submission, *given: Any, **named: Any
) -> None:
    real(one, *given, **named)
    one.appended = True


@_replaces(Pipeline, "_gather")
def _a_batch_is_answered_before_it_is_read(
    real: Any, pipeline: Pipeline, first: Submission
) -> list[Submission]:
    group: list[Submission] = real(pipeline, first)
    seq = pipeline._journal.seq
    for one in group:
        seq += one.draft.width
        one.taken = Applied(one.draft.batch.count, Cursor(pipeline.hub.epoch, seq), 0)
    return group


@_replaces(Submissions, "answer_meanwhile")
def _producers_are_not_told_that_the_log_is_away(real: Any, *_: Any) -> None:
    pass


@_replaces(Submissions, "give_up_doubtful")
def _who_is_answered_late_waits_for_ever(real: Any, *_: Any) -> None:
    pass


@_replaces(Hub, "restore")
def _who_begins_in_the_middle_thinks_it_knows_all(real: Any, hub: Hub, body: bytes) -> None:
    real(hub, body)
    hub.horizon, hub.forgotten = 0, -1


@_replaces(Hub, "restore")
def _a_snapshot_begins_at_nothing(real: Any, hub: Hub, body: bytes) -> None:
    real(hub, body)
    hub.seq -= 1


@_replaces(Replay, "_take")
def _what_was_evicted_is_not_counted(real: Any, *given: Any) -> Any:
    lost, merged, ended = real(*given)
    return lost and 0, merged, ended


@_replaces(Replay, "_take")
def _what_is_unknown_is_called_nothing(real: Any, *given: Any) -> Any:
    lost, merged, ended = real(*given)
    return lost or 0, merged, ended


@_replaces(View, "departed_since")
def _who_left_is_not_told(real: Any, *_: Any) -> Iterator[tuple[int, Series]]:
    return iter(())


@_replaces(Subscriber, "_catch_up")
def _who_is_overtaken_begins_at_the_newest(real: Any, one: Subscriber, **named: Any) -> Replay:
    replay: Replay = real(one, **named)
    replay.cursor = max(replay.cursor, one.view.seq)
    return replay


@_replaces(Hub, "subscribe")
def _who_comes_back_gets_the_last_batch_again(
    real: Any, hub: Hub, spec: Any, start: Start, *given: Any, **named: Any
) -> Subscriber:
    since = start.since
    if since is not None and since.epoch == hub.epoch and since.seq > 0 and since.debt is None:
        start = Start(Cursor(since.epoch, since.seq - 1))
    subscriber: Subscriber = real(hub, spec, start, *given, **named)
    return subscriber


@_replaces(View, "frame")
def _the_ring_is_off_by_one(real: Any, view: View, number: int) -> Frame | None:
    frame: Frame | None = real(view, min(number + 1, view.next_number - 1))
    return frame


@_replaces(History, "rank")
def _evicted_rows_count_as_given(real: Any, history: History, seq: int) -> int | None:
    rank: int | None = real(history, seq)
    return None if rank is None else max(rank, history.first)


@_replaces(Hub, "close_idle")
def _views_that_someone_watches_are_closed(
    real: Any, hub: Hub, now: float, *, linger: float = 0.0
) -> None:
    hub._close([view for view in hub.views.values() if view.subscribers][:1])


@_replaces(View, "admit")
def _views_are_not_told_of_new_series(real: Any, *_: Any) -> None:
    pass


@_replaces(snapshots, "Snapshot")
def _a_snapshot_is_kept_in_whichever_epoch(
    real: Any, seq: int, stamp: int, body: bytes, _: str
) -> Any:
    return real(seq, stamp, body)


@_replaces(Records, "load")
def _a_snapshot_has_no_records(real: Any, records: Records, kept: list[Record]) -> None:
    real(records, [])


@_replaces(Hub, "begin_anew")
def _who_begins_anew_keeps_the_records(real: Any, hub: Hub, epoch: str) -> None:
    kept = hub.records.dump()
    real(hub, epoch)
    hub.records.load(kept)


@_replaces(Records, "put")
def _who_saves_last_wins(real: Any, records: Records, change: Change, *given: Any) -> Any:
    return real(records, msgspec.structs.replace(change, expected=None), *given)


@_replaces(Records, "expire")
def _records_stay_for_ever(real: Any, records: Records, stamp: int) -> None:
    pass


@_replaces(Records, "expire")
def _records_go_by_the_clock_of_the_process(real: Any, records: Records, stamp: int) -> None:
    real(records, clock.now_ms())


@_replaces(Records, "_make_room")
def _records_have_room_without_end(real: Any, *_: Any) -> None:
    pass


@_replaces(Pipeline, "record")
async def _a_refused_save_is_said_to_be_done(
    real: Any, one: Pipeline, change: Change, tell: Callable[[Outcome], None]
) -> int:
    def done(outcome: Outcome) -> None:
        tell(Applied(0, one.hub.cursor, 0) if isinstance(outcome, Rejected) else outcome)

    try:
        version: int = await real(one, change, done)
    except Rejected:
        version = one.hub.seq
    return version


@_replaces(Pipeline, "catch_up")
async def _nobody_waits_for_what_they_saved(real: Any, *_: Any) -> None:
    await trio.lowlevel.checkpoint()


@_replaces(History, "hear")
def _who_repeats_is_not_heard(real: Any, *_: Any) -> None:
    pass


@_replaces(Hub, "restore")
def _a_snapshot_does_not_say_when_it_was(real: Any, hub: Hub, body: bytes) -> None:
    real(hub, body)
    hub._stamp = 0.0


@_replaces(Hub, "_refuse_when_warming")
def _expressions_are_worked_out_of_half_a_log(real: Any, hub: Hub) -> None:
    pass


@_replaces(Standings, "wanted")
def _what_ends_elsewhere_is_not_told(
    real: Any,
    standings: Standings,
    standing: Standing,
    since: Cursor | None,
    window: float | None,
    time_ms: int,
) -> int:
    epoch = standings._holdings.epoch
    if since is not None and since.epoch == epoch and since.seq >= standing.known:
        return standing.first_step
    first: int = real(standings, standing, since, window, time_ms)
    return first


@_replaces(Standings, "past_of")
def _no_step_of_the_past_is_known(
    real: Any, standings: Standings, standing: Standing, wanted: int
) -> None:
    standing.known = 0


@_replaces(past._Copy, "give")
def _steps_of_the_past_see_what_came_later(real: Any, copy: past._Copy, seen: int) -> None:
    real(copy, 1 << 60)


@_replaces(Standings, "_ended_by")
def _a_step_is_over_a_batch_too_early(real: Any, standings: Standings, step: int) -> int:
    seq: int = real(standings, step)
    return max(0, seq - 2)


@_replaces(Standing, "_end")
def _results_do_not_end(real: Any, standing: Standing, *_: Any) -> None:
    pass


@_replaces(Standing, "skip_to")
def _a_long_step_is_left_out(real: Any, standing: Standing, time: int) -> None:
    standing.next_step = max(standing.next_step, time + 599 * standing.step)
    real(standing, time)

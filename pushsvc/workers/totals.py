"""The metrics of all workers as those of one service.

What each process counts of its own is added up. What comes from the log, which all of them read, is
the same in each: there the largest stands, that of whoever has read the most. Of gauges a worker
that doesn't answer has none; its counters stay in the sum, as it told them last, since a sum that
falls would be taken for one that began anew. So each keeps what it told in a file beside the
others', and one that replaces another goes on from there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client import Metric
from prometheus_client.samples import Sample

from pushsvc.workers.peers import Peers

_RESTARTS: Final = "pushsvc_worker_restarts"
_COMMON: Final = frozenset(
    (
        _RESTARTS,
        "pushsvc_samples",
        "pushsvc_samples_conflicting",
        "pushsvc_samples_repeated",
        "pushsvc_batches",
        "pushsvc_series",
        "pushsvc_series_gone",
        "pushsvc_history_samples",
        "pushsvc_records",
        "pushsvc_sequence",
        "pushsvc_journal_sequence",
        "pushsvc_journal_horizon",
        "pushsvc_journal_entries",
        "pushsvc_journal_bytes",
        "pushsvc_journal_away_seconds",
        "pushsvc_draining",
        "pushsvc_build",
        "process_max_fds",
        "process_start_time_seconds",
        "python_info",
    )
)
"""What is the same for all, or no sum."""
_EACH: Final = {
    "pushsvc_subscribers": "pushsvc_worker_subscribers",
    "pushsvc_connections": "pushsvc_worker_connections",
    "pushsvc_sequence": "pushsvc_worker_sequence",
    "process_cpu_seconds": "pushsvc_worker_cpu_seconds",
    "process_resident_memory_bytes": "pushsvc_worker_resident_memory_bytes",
    "process_open_fds": "pushsvc_worker_open_fds",
}
"""What is told of each worker by itself too, under a name of its own: nothing counts twice."""

_Labels = tuple[tuple[str, str], ...]


class Family(msgspec.Struct):
    """A metric as it goes from worker to worker."""

    name: str
    type: str
    documentation: str
    samples: list[tuple[str, dict[str, str], float]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Family]).decode


class Totals:
    """This worker's metrics, and all of them together."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._file = _file(peers.folder, peers.index)
        self._before = _read(self._file)
        """What the worker that this one replaces had counted."""

    def tell(self, metrics: Iterable[Metric]) -> bytes:
        """This worker's, for another, which they are added up by."""
        return self._keep(self._counted(metrics))

    def _counted(self, metrics: Iterable[Metric]) -> list[Family]:
        """This worker's, with what those before it had counted."""
        families = [
            Family(
                metric.name,
                metric.type,
                metric.documentation,
                [(one.name, dict(one.labels), one.value) for one in metric.samples],
            )
            for metric in metrics
        ]
        labels = {"worker": str(self._peers.index)}
        families.append(
            Family(
                _RESTARTS,
                "counter",
                "Times that a worker ended, and was replaced.",
                [(f"{_RESTARTS}_total", labels, float(self._peers.restarts))],
            )
        )
        own = {family.name: family for family in families}
        for family in self._before:
            if family.type == "counter" and family.name not in _COMMON:
                _add(own.setdefault(family.name, _empty(family)), family, largest=False)
        return list(own.values())

    def _keep(self, own: list[Family]) -> bytes:
        """Write down what is about to be told, which is never taken back; gives what was
        written."""
        said = _encode(own)
        part = self._file.with_suffix(".part")
        part.write_bytes(said)
        part.replace(self._file)
        return said

    async def gather(self, metrics: Iterable[Metric]) -> list[Metric]:
        """All workers' together, with some of each."""
        own = self._counted(metrics)
        self._keep(own)
        said = await self._peers.ask_others("metrics")
        each = {self._peers.index: own}
        for index in self._peers.others:
            each[index] = _decode(said[index]) if index in said else []
        total: dict[str, Family] = {}
        for index, families in each.items():
            if index != self._peers.index and not families:
                last = _read(_file(self._peers.folder, index))
                families = [family for family in last if family.type == "counter"]
            for family in families:
                there = total.setdefault(family.name, _empty(family))
                _add(there, family, largest=family.name in _COMMON)
        up = Family("pushsvc_worker_up", "gauge", "Whether a worker answers the others.", [])
        up.samples = [
            (up.name, {"worker": str(index)}, float(bool(families)))
            for index, families in each.items()
        ]
        return [_metric(family) for family in [*total.values(), up, *_of_each(each)]]


def _of_each(each: Mapping[int, Sequence[Family]]) -> Iterable[Family]:
    for name, told_as in _EACH.items():
        found: Family | None = None
        for index, families in each.items():
            family = next((family for family in families if family.name == name), None)
            if family is None:
                continue
            if found is None:
                found = Family(told_as, family.type, f"{family.documentation} Of each worker.", [])
            for sample, labels, value in family.samples:
                if not sample.endswith("_created"):
                    theirs = {**labels, "worker": str(index)}
                    found.samples.append((sample.replace(name, told_as, 1), theirs, value))
        if found is not None:
            yield found


def _empty(family: Family) -> Family:
    return Family(family.name, family.type, family.documentation, [])


def _add(total: Family, family: Family, *, largest: bool) -> None:
    places: dict[tuple[str, _Labels], int] = {
        (name, tuple(sorted(labels.items()))): place
        for place, (name, labels, _) in enumerate(total.samples)
    }
    for name, labels, value in family.samples:
        key = name, tuple(sorted(labels.items()))
        place = places.get(key)
        if place is None:
            places[key] = len(total.samples)
            total.samples.append((name, labels, value))
            continue
        before = total.samples[place][2]
        largest_now = largest or name.endswith("_created")
        together = max(before, value) if largest_now else before + value
        total.samples[place] = (name, labels, together)


def _metric(family: Family) -> Metric:
    metric = Metric(family.name, family.documentation, family.type)
    metric.samples = [Sample(name, labels, value) for name, labels, value in family.samples]
    return metric


def _file(folder: Path, index: int) -> Path:
    return folder / f"metrics-{index}"


def _read(file: Path) -> list[Family]:
    try:
        return _decode(file.read_bytes())
    except (OSError, msgspec.DecodeError):
        return []

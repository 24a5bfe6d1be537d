"""The metrics of all workers, combined into those of one service.

Metrics that each process counts for itself are added up. Metrics that come from the log, which all
workers read, are the same in each of them: the largest value counts, that of the worker that has
read the most. The gauges of a worker that doesn't answer are missing. Its counters stay in the sum
with their last values, because a sum that falls looks like a counter that was reset. For this, each
worker stores its metrics in a file beside those of the others, and a worker that replaces another
continues from its file."""

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
"""Metrics that are the same in all workers, or that can't be added up."""
_EACH: Final = {
    "pushsvc_subscribers": "pushsvc_worker_subscribers",
    "pushsvc_connections": "pushsvc_worker_connections",
    "pushsvc_sequence": "pushsvc_worker_sequence",
    "process_cpu_seconds": "pushsvc_worker_cpu_seconds",
    "process_resident_memory_bytes": "pushsvc_worker_resident_memory_bytes",
    "process_open_fds": "pushsvc_worker_open_fds",
}
"""Metrics that are also shown for each worker, under another name, so that nothing counts twice."""

_LASTING: Final = frozenset(("counter", "histogram"))
"""Types of metrics that never fall."""

_Labels = tuple[tuple[str, str], ...]


class Family(msgspec.Struct):
    """A metric as workers send it to each other."""

    name: str
    type: str
    documentation: str
    samples: list[tuple[str, dict[str, str], float]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Family]).decode


class Totals:
    """The metrics of this worker, and those of all workers combined."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._file = _file(peers.folder, peers.index)
        self._before = _read(self._file)
        """The metrics of the worker that this one replaces, if any."""

    def tell(self, metrics: Iterable[Metric]) -> bytes:
        """This worker's metrics as bytes, for another worker that combines them."""
        return self._keep(self._counted(metrics))

    def _counted(self, metrics: Iterable[Metric]) -> list[Family]:
        """This worker's metrics, with the counters of the workers that it replaces added."""
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
            if family.type in _LASTING and family.name not in _COMMON:
                _add(own.setdefault(family.name, _empty(family)), family, largest=False)
        return list(own.values())

    def _keep(self, own: list[Family]) -> bytes:
        """Store the metrics before they are sent, so that no counter ever falls; returns the
        bytes."""
        said = _encode(own)
        part = self._file.with_suffix(".part")
        part.write_bytes(said)
        part.replace(self._file)
        return said

    async def gather(self, metrics: Iterable[Metric]) -> list[Metric]:
        """The metrics of all workers combined, and some of each worker."""
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
                families = [family for family in last if family.type in _LASTING]
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

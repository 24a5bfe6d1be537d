"""Metrics of this machine, read with psutil, under the names of the Prometheus node exporter.

Where that has no name (for a utilisation, a rate, a process) the name is ours, in base units. Every
reading is what the kernel reports now; nothing is made up, and what a machine doesn't have (a
sensor, a battery) is left out.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil

Sample = dict[str, Any]

_TOP = 5
_BUSY = 0.5
"""Percent of a core below which a process isn't published."""
_PROCESSES_EVERY = 2.0
"""Seconds between two looks at all processes, which are the expensive part."""
_SLOW_EVERY = 10.0
"""Seconds between two looks at things that hardly change."""
_IGNORED_FILESYSTEMS = {"squashfs", "overlay", "tmpfs", "devtmpfs", "proc", "sysfs", "autofs"}


def _sample(name: str, value: object, kind: str, unit: str, text: str, /, **labels: str) -> Sample:
    return {
        "name": name,
        "labels": labels,
        "value": value,
        "kind": kind,
        "unit": unit,
        "help": text,
    }


def busy(then: Mapping[str, float], now: Mapping[str, float]) -> float | None:
    """The share of the time between two readings of a core's seconds by mode that it was busy; None
    where the kernel counted none meanwhile, as while a virtual machine stands still."""
    # The seconds of guests are among those of user and nice already.
    spent = {mode: now[mode] - then.get(mode, 0.0) for mode in now if "guest" not in mode}
    whole = sum(spent.values())
    if whole <= 0:
        return None
    idle = spent.get("idle", 0.0) + spent.get("iowait", 0.0)
    return min(max(1 - idle / whole, 0.0), 1.0)


class HostMetrics:
    """Reads the machine's metrics. `read` blocks for some milliseconds: call it in a thread."""

    def __init__(self) -> None:
        self._sources: list[tuple[Callable[[], Iterator[Sample]], float, float]] = [
            (self._cpu, 0.0, 0.0),
            (self._load, 0.0, 0.0),
            (self._memory, 0.0, 0.0),
            (self._disk_io, 0.0, 0.0),
            (self._network, 0.0, 0.0),
            (self._kernel, 0.0, 0.0),
            (self._processes, _PROCESSES_EVERY, 0.0),
            (self._filesystems, _SLOW_EVERY, 0.0),
            (self._sensors, _SLOW_EVERY, 0.0),
            (self._machine, _SLOW_EVERY, 0.0),
        ]
        self._before: dict[str, tuple[float, float]] = {}
        self._cores: list[dict[str, float]] = []
        """Seconds that each core has spent in each mode, at the last reading."""

    def read(self) -> list[Sample]:
        """One sample of each series that is due."""
        now = time.monotonic()
        samples: list[Sample] = []
        for index, (source, every, due) in enumerate(self._sources):
            if now >= due:
                self._sources[index] = source, every, now + every
                # A container may hide any of these; the others are still useful.
                with contextlib.suppress(
                    OSError, psutil.Error, AttributeError, NotImplementedError
                ):
                    samples += source()
        return samples

    def _rate(self, key: str, value: float) -> float | None:
        """Change per second since the last reading; None for the first, and after a reset."""
        now = time.monotonic()
        before = self._before.get(key)
        self._before[key] = now, value
        if before is None or now <= before[0] or value < before[1]:
            return None
        return (value - before[1]) / (now - before[0])

    def _cpu(self) -> Iterator[Sample]:
        text = "Share of time this core was busy."
        before, self._cores = (
            self._cores,
            [times._asdict() for times in psutil.cpu_times(percpu=True)],
        )
        for core, (then, now) in enumerate(zip(before, self._cores, strict=False)):
            share = busy(then, now)
            if share is not None:
                yield _sample("node_cpu_utilization", share, "gauge", "ratio", text, cpu=str(core))
        times = psutil.cpu_times()
        for mode in ("user", "system", "idle", "iowait", "irq", "softirq", "steal"):
            if hasattr(times, mode):
                yield _sample(
                    "node_cpu_seconds_total",
                    float(getattr(times, mode)),
                    "counter",
                    "seconds",
                    "Seconds all cores spent in each mode.",
                    mode=mode,
                )
        with contextlib.suppress(NotImplementedError, OSError, AttributeError):
            frequency = psutil.cpu_freq()
            if frequency.current:
                yield _sample(
                    "node_cpu_frequency_hertz",
                    frequency.current * 1e6,
                    "gauge",
                    "hertz",
                    "Current clock of the cores, averaged.",
                )

    def _load(self) -> Iterator[Sample]:
        for minutes, value in zip((1, 5, 15), os.getloadavg(), strict=True):
            text = f"Runnable processes, averaged over {minutes} min."
            yield _sample(f"node_load{minutes}", value, "gauge", "", text)

    def _memory(self) -> Iterator[Sample]:
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        text = "Memory, by what it is used for."
        for use in ("used", "available", "free", "cached", "buffers"):
            if hasattr(memory, use):
                yield _sample(
                    "node_memory_bytes",
                    float(getattr(memory, use)),
                    "gauge",
                    "bytes",
                    text,
                    use=use,
                )
        yield _sample(
            "node_memory_utilization",
            memory.percent / 100,
            "gauge",
            "ratio",
            "Share of memory that can't be had without swapping.",
        )
        yield _sample("node_swap_used_bytes", float(swap.used), "gauge", "bytes", "Swap in use.")

    def _disk_io(self) -> Iterator[Sample]:
        disks = psutil.disk_io_counters(perdisk=True, nowrap=True) or {}
        for device, io in disks.items():
            if device.startswith(("loop", "ram")) or not (io.read_count or io.write_count):
                continue
            for direction, total in (("read", io.read_bytes), ("write", io.write_bytes)):
                rate = self._rate(f"disk {device} {direction}", total)
                if rate is not None:
                    yield _sample(
                        "node_disk_throughput",
                        rate,
                        "gauge",
                        "bytes_per_second",
                        "Bytes read from and written to a disk.",
                        device=device,
                        direction=direction,
                    )
            yield _sample(
                "node_disk_operations_total",
                float(io.read_count + io.write_count),
                "counter",
                "",
                "Reads and writes completed.",
                device=device,
            )

    def _network(self) -> Iterator[Sample]:
        for device, io in psutil.net_io_counters(pernic=True, nowrap=True).items():
            if not (io.bytes_recv or io.bytes_sent):
                continue
            for name, total, text in (
                ("node_network_receive_bytes_total", io.bytes_recv, "Bytes received."),
                ("node_network_transmit_bytes_total", io.bytes_sent, "Bytes sent."),
            ):
                yield _sample(name, float(total), "counter", "bytes", text, device=device)

    def _kernel(self) -> Iterator[Sample]:
        stats = psutil.cpu_stats()
        yield _sample(
            "node_context_switches_total",
            float(stats.ctx_switches),
            "counter",
            "",
            "Switches from one task to another.",
        )
        yield _sample(
            "node_intr_total", float(stats.interrupts), "counter", "", "Interrupts serviced."
        )

    def _processes(self) -> Iterator[Sample]:
        cpus = psutil.cpu_count() or 1
        found = []
        states: dict[str, int] = {}
        threads = 0
        for process in psutil.process_iter(
            ["name", "cpu_percent", "memory_info", "num_threads", "status"]
        ):
            info = process.info
            states[info["status"]] = states.get(info["status"], 0) + 1
            threads += info["num_threads"] or 0
            if info["memory_info"] is not None and info["memory_info"].rss:
                found.append((process.pid, info))
        for state in ("running", "sleeping", "disk-sleep", "zombie", "idle"):
            yield _sample(
                "node_processes",
                float(states.get(state, 0)),
                "gauge",
                "",
                "Processes by state.",
                state=state,
            )
        yield _sample("node_threads", float(threads), "gauge", "", "Threads of all processes.")
        # cpu_percent counts from the previous look, so the first look has no values.
        busy = [one for one in found if (one[1]["cpu_percent"] or 0.0) >= _BUSY]
        for rank in sorted(busy, key=lambda one: -one[1]["cpu_percent"])[:_TOP]:
            yield _sample(
                "process_cpu_utilization",
                rank[1]["cpu_percent"] / 100 / cpus,
                "gauge",
                "ratio",
                "Share of all cores, of the busiest processes.",
                pid=str(rank[0]),
                name=rank[1]["name"],
            )
        for rank in sorted(found, key=lambda one: -one[1]["memory_info"].rss)[:_TOP]:
            yield _sample(
                "process_resident_memory_bytes",
                float(rank[1]["memory_info"].rss),
                "gauge",
                "bytes",
                "Resident memory, of the largest processes.",
                pid=str(rank[0]),
                name=rank[1]["name"],
            )

    def _filesystems(self) -> Iterator[Sample]:
        devices = set()
        for part in psutil.disk_partitions(all=False):
            if part.fstype in _IGNORED_FILESYSTEMS or part.device in devices:
                continue
            devices.add(part.device)
            with contextlib.suppress(OSError):
                usage = psutil.disk_usage(part.mountpoint)
                yield _sample(
                    "node_filesystem_utilization",
                    usage.percent / 100,
                    "gauge",
                    "ratio",
                    "Share of a file system that is full.",
                    mountpoint=part.mountpoint,
                )
                yield _sample(
                    "node_filesystem_free_bytes",
                    float(usage.free),
                    "gauge",
                    "bytes",
                    "Room left on a file system.",
                    mountpoint=part.mountpoint,
                )

    def _sensors(self) -> Iterator[Sample]:
        for chip, readings in psutil.sensors_temperatures().items():
            for index, reading in enumerate(readings):
                yield _sample(
                    "node_hwmon_temp_celsius",
                    float(reading.current),
                    "gauge",
                    "celsius",
                    "Temperatures the hardware reports.",
                    chip=chip,
                    sensor=reading.label or str(index),
                )

    def _machine(self) -> Iterator[Sample]:
        yield _sample(
            "node_uptime_seconds",
            time.time() - psutil.boot_time(),
            "gauge",
            "seconds",
            "Time since the machine started.",
        )
        yield _sample(
            "node_kernel_release", platform.release(), "state", "", "The kernel that runs."
        )
        for device, stats in psutil.net_if_stats().items():
            yield _sample(
                "node_network_up",
                stats.isup,
                "state",
                "",
                "Whether an interface is up.",
                device=device,
            )

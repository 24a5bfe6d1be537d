"""Which tests are everyday ones, and in what order all of them run.

`real`: talks to a service over sockets, or runs programs. A module that imports what starts these
has the marker by that, so that none is forgotten. `long`: takes long by its nature, and is left to
`make test-long`; written where the test is.
"""

from __future__ import annotations

import subprocess
from types import ModuleType

import pytest

STARTERS = (
    "tests.serving",
    "tests.proxies.",
    "tests.chaos.",
    "tests.bench.",
    "tests.k8s.",
    "pushsvc.demo",
)


def starts_something(module: ModuleType) -> bool:
    for value in vars(module).values():
        origin = getattr(value, "__module__", None) or getattr(value, "__name__", "")
        if value is subprocess or (isinstance(origin, str) and origin.startswith(STARTERS)):
            return True
    return False


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    modules: dict[ModuleType, bool] = {}
    for item in items:
        module = item.getparent(pytest.Module)
        assert module is not None
        if modules.setdefault(module.obj, starts_something(module.obj)):
            item.add_marker("real")
    # Those that wait begin first: at the end nothing would be left to run beside them.
    items.sort(key=lambda item: item.get_closest_marker("real") is None)

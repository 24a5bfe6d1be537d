"""Whatever producers, time and dashboards do, in any order."""

from __future__ import annotations

from hypothesis import settings

from tests.core.machine import Machine

TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)

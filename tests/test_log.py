"""Where the log of a service goes within somebody else's program."""

from __future__ import annotations

import logging

import pytest
import structlog

from pushsvc.log import get_logger


@pytest.fixture(autouse=True)
def unconfigured() -> None:
    structlog.reset_defaults()


def test_without_a_structlog_it_is_the_standard_librarys(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    log = get_logger("pushsvc.test")
    with caplog.at_level(logging.INFO):
        log.info("serving 100%s", url="http://a\n")
        log.debug("not of this level")
        try:
            raise ValueError("why")
        except ValueError as error:
            log.exception("failed", exc_info=error)
    said = [(one.name, one.levelname, one.getMessage()) for one in caplog.records]
    assert said == [
        ("pushsvc.test", "INFO", "serving 100%s url='http://a\\n'"),
        ("pushsvc.test", "ERROR", "failed"),
    ]
    assert "ValueError: why" in caplog.text
    assert capsys.readouterr().out == ""


def test_it_goes_by_a_structlog_that_is_set_up_later(caplog: pytest.LogCaptureFixture) -> None:
    log = get_logger("pushsvc.test")
    log.warning("before")
    with structlog.testing.capture_logs() as events:
        log.warning("after", a=1)
    assert events == [{"event": "after", "log_level": "warning", "a": 1}]
    assert [one.getMessage() for one in caplog.records] == ["before"]

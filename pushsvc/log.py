"""Where logs go: standard error, one line an event, for people or as JSON.

That is for the command line. Within another program nothing is set up: events go where its
structlog configuration sends them or, without one, to the standard library's loggers `pushsvc.*`.
"""

from __future__ import annotations

import io
import logging
import sys
from typing import Any, TextIO

import structlog

from pushsvc.printable import printable


def get_logger(name: str) -> Any:
    """The logger of a module, `pushsvc.SUBJECT`. It looks at the configuration with each event, so
    a program may set logging up at any time, or not at all."""
    return _Logger(name)


class _Logger:
    def __init__(self, name: str) -> None:
        self._configured = structlog.get_logger(name)
        self._plain = structlog.wrap_logger(
            logging.getLogger(name),
            processors=[structlog.stdlib.filter_by_level, _as_record],
            wrapper_class=structlog.stdlib.BoundLogger,
        )

    def __getattr__(self, method: str) -> Any:
        return getattr(self._configured if structlog.is_configured() else self._plain, method)


def _as_record(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> tuple[tuple[str], dict[str, Any]]:
    """An event as a record of the standard library: its name, followed by its fields."""
    exc_info = event.pop("exc_info", None)
    text = " ".join([event.pop("event"), *(f"{name}={value!r}" for name, value in event.items())])
    return (text,), {} if exc_info is None else {"exc_info": exc_info}


def configure_logging(level: str, format: str) -> None:  # noqa: A002 - the setting's name
    """Set up structlog, and send the standard library's records through it too.

    `format` is console, json, or auto: console where standard error is a terminal.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    console = format == "console" or (format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if console:
        shared.append(_escape)
        render: structlog.typing.Processor = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=_traceback
        )
    else:
        # Without the frames' locals: they are long, and hold what clients sent.
        shared.append(
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            )
        )
        render = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    # Otherwise each request of our own clients would be a line.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)
    logging.getLogger("trio-websocket").setLevel(logging.WARNING)
    # What it logs is raised as well, and then logged in one line.
    logging.getLogger("coredis").setLevel(logging.CRITICAL)


def _escape(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escape control characters of text from clients before it reaches a terminal; JSON escapes by
    itself."""
    return {
        name: printable(value if isinstance(value, str) else repr(value))
        if isinstance(value, str | Exception | list | dict | tuple)
        and name not in ("exc_info", "positional_args")
        and not name.startswith("_")
        else value
        for name, value in event.items()
    }


def _traceback(out: TextIO, exc_info: structlog.typing.ExcInfo) -> None:
    """The traceback as Python formats it, with the messages in it escaped too."""
    plain = io.StringIO()
    structlog.dev.plain_traceback(plain, exc_info)
    out.write("\n".join(map(printable, plain.getvalue().split("\n"))))

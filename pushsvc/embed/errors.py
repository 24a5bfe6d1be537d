"""The service's errors as the surrounding program gets them: those of `pushsvc.client`, and
Trio's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import trio

from pushsvc.client.errors import Busy, Refused
from pushsvc.errors import Overloaded, Problem


@contextmanager
def translated() -> Iterator[None]:
    """Raise Refused and Busy where a remote client would get an error status, and Trio's errors
    where the service has ended."""
    try:
        yield
    except Overloaded as problem:
        if problem.code == "stopping":
            raise trio.ClosedResourceError("the service is closed") from None
        if problem.code == "stopped":
            raise trio.BrokenResourceError(problem.detail) from None
        raise Busy(problem.detail, problem.retry_after) from None
    except Problem as problem:
        raise Refused(problem.detail, problem.code, problem.status) from None


@contextmanager
def alone() -> Iterator[None]:
    """Raise a nursery's only error without the group around it, even if it is a group itself, so
    that callers don't see the nursery. Cancellations beside it don't count."""
    try:
        yield
    except BaseExceptionGroup as group:
        errors = [one for one in group.exceptions if not _is_cancelled(one)]
        if len(errors) > 1:
            raise
        _raise(errors[0] if errors else group.exceptions[0])


@contextmanager
def without_groups() -> Iterator[None]:
    """Raise the only error of nested nurseries without the groups around it."""
    try:
        yield
    except BaseExceptionGroup as group:
        errors = [one for one in _leaves(group) if not _is_cancelled(one)]
        if len(errors) != 1:
            raise
        _raise(errors[0])


def _is_cancelled(error: BaseException) -> bool:
    return all(isinstance(leaf, trio.Cancelled) for leaf in _leaves(error))


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in _leaves(inner)]


def _raise(error: BaseException) -> NoReturn:
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context  # and not the group around it
        del error, context

"""Lua scripts for atomic steps at the server: each is a file beside this one, with its own
comments."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

from coredis.exceptions import NoScriptError, RedisError

from pushsvc.journal.valkey.connection import ANSWER, Connection

Part = bytes | str | int


class Script:
    """A script, called by its digest if the server knows it."""

    def __init__(self, name: str) -> None:
        self._text = resources.files(__package__).joinpath(name).read_bytes()
        self._digest = hashlib.sha1(self._text, usedforsecurity=False).hexdigest()

    async def __call__(
        self,
        connection: Connection,
        keys: Sequence[str],
        arguments: Sequence[Part],
        *then: Sequence[Part],
        timeout: float = ANSWER,
    ) -> list[Any]:
        """The answers of the script and of the commands `then`, which are sent with it.

        Raises Away, or JournalError if a setting has to be changed.
        """
        call = (len(keys), *keys, *arguments)
        answers = await connection.ask_all([(b"EVALSHA", self._digest, *call), *then], timeout)
        if isinstance(answers[0], NoScriptError):
            answers = await connection.ask_all([(b"EVAL", self._text, *call), *then], timeout)
        for answer in answers:
            if isinstance(answer, RedisError):
                raise connection.means(answer) from answer
        return answers


OPEN = Script("open.lua")
APPEND = Script("append.lua")
KEEP = Script("keep.lua")
SNAPSHOT = Script("snapshot.lua")

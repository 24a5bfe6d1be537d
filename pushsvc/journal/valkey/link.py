"""Keeps a session with the server, and opens another one when it ends."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping

import trio

from pushsvc.journal import JournalError
from pushsvc.journal.starting import Starting
from pushsvc.journal.valkey.address import Address
from pushsvc.journal.valkey.connection import Login
from pushsvc.journal.valkey.options import Options
from pushsvc.journal.valkey.session import Keys, Session, open_session
from pushsvc.journal.valkey.trouble import Away
from pushsvc.log import get_logger

_log = get_logger("pushsvc.journal")

_SHORTEST, _LONGEST = 0.05, 2.0
"""The shortest and longest seconds between two attempts to connect."""
_STEADY = 5.0
"""After a connection that lasted this many seconds, the next attempt is made at once."""
_COMPLAIN = 30.0
"""Seconds after which a lasting problem is logged again."""
_CUT = 5.0
"""Seconds for which another reason for the same problem isn't logged."""
_NOTHING = (("", ""), 0.0)
_WAITING = 10.0
"""Seconds after which it is logged again that the start waits for the server."""


class Link:
    """The connection to the server, while there is one."""

    def __init__(
        self,
        address: Address,
        login: Login,
        keys: Keys,
        options: Options,
        starting: Starting,
        look: Callable[[Session], Awaitable[Mapping[str, object]]],
    ) -> None:
        """`look` is called with each session before it is used, and returns fields for the log
        message about it. If the session can't be used, it raises Away or JournalError."""
        self.session: Session | None = None
        """The session in use, which may already be lost."""
        self.away_since: float | None = None
        """Since when the server can't be used, by Trio's clock; None while it can."""
        self.away_reason = ""
        self.memory: int | None = None
        """The memory limit of the server in bytes; None if it has none, or doesn't say."""
        self._address = address
        self._login = login
        self._keys = keys
        self._options = options
        self._starting = starting
        self._look = look
        self._news = trio.Event()  # set and replaced at each change
        self._complained = _NOTHING

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect, and connect again whenever the connection ends. Started when the server has been
        reached once.

        Raises JournalError before that.
        """
        failure: JournalError | None = None
        async with trio.open_nursery() as nursery:
            deadline = trio.current_time() + self._options.start_wait
            self.away_since = trio.current_time()
            started, pause = False, 0.0
            while True:
                try:
                    session, told = await self._connect(nursery)
                except (Away, JournalError) as error:
                    late = trio.current_time() >= deadline
                    if not started and (late or isinstance(error, JournalError)):
                        failure = JournalError(str(error))
                        break
                    if started:
                        self.lose(str(error))
                    else:
                        self._wait_on(str(error), deadline - trio.current_time())
                else:
                    if not started:
                        started = True
                        task_status.started()
                    begun = trio.current_time()
                    self._back(session, told)
                    await session.run()
                    self.lose(session.reason)
                    if trio.current_time() - begun > _STEADY:
                        pause = 0.0
                        continue
                pause = min(_LONGEST, max(_SHORTEST, 2 * pause))
                await trio.sleep(pause * random.uniform(0.5, 1.0))
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _connect(self, nursery: trio.Nursery) -> tuple[Session, Mapping[str, object]]:
        session = await open_session(
            nursery, self._address, self._login, self._keys, fsync=self._options.fsync
        )
        try:
            return session, await self._look(session)
        except BaseException:
            session.fail("")
            raise

    def _back(self, session: Session, told: Mapping[str, object]) -> None:
        assert self.away_since is not None
        _log.info(
            "the journal is connected",
            server=session.commands.server,
            **told,
            away=round(trio.current_time() - self.away_since, 1),
        )
        if session.memory is not None:
            self.memory = session.memory
        self.session = session
        self.away_since = None
        self.away_reason = ""
        self._complained = _NOTHING
        self.tell()

    def lose(self, reason: str) -> None:
        """Note that the server can't be used any more."""
        self.session = None
        if self.away_since is None:
            self.away_since = trio.current_time()
        self.away_reason = reason
        self.complain("the journal is away", reason)
        self.tell()

    def _wait_on(self, reason: str, seconds: float) -> None:
        """At the start: log why it waits, and how much longer it will."""
        self._starting.wait_for("the log can't be reached")
        (last, told), now = self._complained, trio.current_time()
        if reason != last[1] or now - told >= _WAITING:
            self._complained = (("", reason), now)
            _log.warning("waiting for the journal", reason=reason, gives_up_in=round(seconds))

    def complain(self, event: str, reason: str) -> None:
        """Log a warning, unless it was logged a moment ago."""
        (last, told), now = self._complained, trio.current_time()
        # The reason why a connection ended, and soon after why there is no new one, are one
        # problem.
        pause = _COMPLAIN if last == (event, reason) else _CUT if last[0] == event else 0.0
        if now - told >= pause:
            self._complained = ((event, reason), now)
            _log.warning(event, reason=reason)

    def tell(self) -> None:
        """Wake the tasks that wait for a change."""
        self._news.set()
        self._news = trio.Event()

    async def changed(self) -> None:
        """Wait for the next change."""
        await self._news.wait()

    async def up(self) -> Session:
        """Wait for a session that can be used."""
        while (session := self.session) is None or session.lost.is_set():
            await self._news.wait()
        return session

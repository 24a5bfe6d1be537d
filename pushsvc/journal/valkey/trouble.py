"""What a server's error means, in one line that also says what to do."""

from __future__ import annotations

import os
import re
import socket
import ssl

from coredis.exceptions import (
    AuthenticationFailureError,
    AuthenticationRequiredError,
    AuthorizationError,
    BusyLoadingError,
    MovedError,
    ReadOnlyError,
    ResponseError,
    UnblockedError,
    UnknownCommandError,
    WrongTypeError,
)

from pushsvc.journal import JournalError

COMMANDS = (
    "+hello +auth +select +info +eval +evalsha +wait +xread +xadd +xtrim +xrange +xrevrange +xlen "
    "+hget +hset +hmget +hgetall +hdel +del +time"
)
"""All commands that a user must be allowed, as `ACL SETUSER` takes them; in a Cluster also
+cluster, with `fsync` also +waitaof."""
_COMMAND = re.compile(r"'([a-z|]+)' command")
_OTHER_NAME = (62, 64)
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_FULL = {
    "OOM": "its memory is full: raise its maxmemory, or keep less here",
    "MISCONF": "it can't write its data to disk (MISCONF); its log says why",
    "NOREPLICAS": "it has fewer good replicas than its min-replicas-to-write",
    "BUSY": "it is held up by another script",
}


class Away(Exception):
    """A server can't be used now, but maybe later. The message is one line."""


class Full(Away):
    """A server can be reached, but accepts no writes now. The message is one line."""


def trouble(error: BaseException, server: str, user: str) -> Away | JournalError:
    """The exception for an error that a server answered, or for a failure to connect to it."""
    match error:
        case AuthenticationFailureError():
            return JournalError(f"{server} refuses the password of user {user} (journal.url)")
        case AuthenticationRequiredError():
            return JournalError(
                f"{server} wants a password: in journal.url, USER:PASSWORD@ or :PASSWORD@ stands "
                "before the host"
            )
        case AuthorizationError():
            return _forbidden(str(error), server, user)
        case UnknownCommandError():
            return JournalError(
                f"{server} doesn't have what the journal needs ({str(error).strip()}): it needs "
                "Valkey, or Redis 7 or newer (journal.fsync needs 7.2)"
            )
        case WrongTypeError():
            return JournalError(
                f"{server} has other data under the journal's keys: choose another journal.prefix"
            )
        case MovedError() | ReadOnlyError() | UnblockedError() | BusyLoadingError():
            return Away(f"{server} isn't the primary now, or not yet ({error})")
        case ResponseError():
            return _answer(str(error), server, user)
        case ssl.SSLCertVerificationError():
            if error.verify_code in _OTHER_NAME:
                what = "journal.url names the host as its certificate does"
            else:
                what = "a CA of your own is named in journal.ca"
            return JournalError(
                f"{server} shows a certificate that isn't trusted "
                f"({error.verify_message.rstrip('.')}): {what}"
            )
        case ssl.SSLError():
            return JournalError(
                f"{server}: TLS failed ({error.reason or error}); where the port doesn't speak "
                "TLS, journal.url begins with valkey://"
            )
        case socket.gaierror():
            return Away(f"{server} can't be found: {error.strerror}")
        case OSError():
            return Away(f"{server} can't be reached: {_reason(error)}")
    return Away(f"{server} closed the connection")


def _answer(text: str, server: str, user: str) -> Away | JournalError:
    code = text.partition(" ")[0].removeprefix("-")
    if code in _FULL:
        return Full(f"{server} takes nothing: {_FULL[code]}")
    if "permission" in text or "script can't" in text:  # of a command in a script
        return _forbidden(text, server, user)
    if "DB index" in text or "SELECT is not allowed" in text:
        return JournalError(
            f"{server} has no such database ({text}): its number stands after the host in "
            "journal.url; a Cluster has only 0"
        )
    if "appendonly is disabled" in text:
        return JournalError(
            f"{server} has no append-only file to wait for: set appendonly yes there, or don't "
            "ask for it here (journal.fsync)"
        )
    return Away(f"{server} answers {text}")


def _forbidden(text: str, server: str, user: str) -> JournalError:
    found = _COMMAND.search(text)
    what = found[1].upper() if found else "a key or command of the journal"
    return JournalError(
        f"{server} doesn't let user {user} use {what} ({text}): with PREFIX for journal.prefix, "
        f"ACL SETUSER {user} ~{{PREFIX}}:* {COMMANDS}"
    )


def _reason(error: OSError) -> str:
    while error.errno is None and error.__cause__ is not None:
        cause = error.__cause__
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        if not isinstance(cause, OSError):
            break
        error = cause
    return os.strerror(error.errno) if error.errno else str(error)

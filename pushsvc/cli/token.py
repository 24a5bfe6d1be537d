"""`pushsvc token`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from pushsvc.cli.options import fail, grant_options
from pushsvc.cli.terminal import say


@click.group("token")
def command() -> None:
    """Make JSON Web Tokens, for trying out auth.mode jwt."""


@command.command("new")
@click.option("--secret", envvar="PUSHSVC_AUTH_SECRET", help="Sign with HS256 and this secret.")
@click.option(
    "--private-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Sign with this PEM or JWK: RS256, ES256 or EdDSA, as the key is.",
)
@click.option("--issuer", envvar="PUSHSVC_AUTH_ISSUER", default="", help="iss")
@click.option("--audience", envvar="PUSHSVC_AUTH_AUDIENCE", default="", help="aud")
@click.option("--subject", default="developer", show_default=True, help="sub")
@click.option("--lifetime", default="1h", show_default=True, help="15m, 8h, 90 (seconds).")
@grant_options
def new(
    secret: str | None,
    private_key: Path | None,
    issuer: str,
    audience: str,
    subject: str,
    lifetime: str,
    read: tuple[str, ...],
    write: tuple[str, ...],
    operator: bool,
) -> None:
    """Sign a token and print it, for development: in production an issuer does that.

    It takes the secret, the issuer and the audience from the same variables as the service:

        PUSHSVC_AUTH_SECRET=… pushsvc token new --read '{tenant="acme"}'
    """
    from pushsvc.auth.jwt import UnusableKey, read_private_key, read_secret, sign
    from pushsvc.core.model.duration import parse_duration
    from pushsvc.errors import Problem

    if (secret is None) == (private_key is None):
        fail("say what to sign with: --secret or --private-key", status=2)
    try:
        seconds = parse_duration(lifetime, "lifetime")
        if private_key is not None:
            key, algorithm = read_private_key(private_key)
        else:
            key, algorithm = read_secret(secret or ""), "HS256"
    except (UnusableKey, Problem) as error:
        fail(str(error), status=2)
    now = int(time.time())
    claims: dict[str, Any] = {
        "sub": subject,
        "iat": now,
        "exp": now + int(seconds),
        "pushsvc": {"read": read, "write": write, "operator": operator},
    }
    claims |= {name: text for name, text in (("iss", issuer), ("aud", audience)) if text}
    say(sign(claims, key, algorithm))

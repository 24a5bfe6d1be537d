"""The form to log in."""

from __future__ import annotations

from html import escape
from typing import Final

from quart import Response

from pushsvc.auth.origins import Origins, style_hash
from pushsvc.errors import Problem

FORM: Final = "application/x-www-form-urlencoded"
"""The media type in which the form is sent."""
_STYLE: Final = (
    ":root{color-scheme:light dark;font:1rem/1.5 system-ui,sans-serif;"
    "background:light-dark(#fff,#0d1217)}"
    "body{display:grid;min-height:90vh;place-content:center}"
    "form{display:grid;gap:.75rem;width:min(24rem,90vw)}"
    "input,button{min-height:2.75rem;font:inherit;padding:.5rem .75rem}"
    "[role=alert]{color:light-dark(#b3261e,#ff8a7a)}"
)


def login_page(origins: Origins, root: str, problem: Problem | None = None) -> Response:
    """The form to log in, with the error of the last attempt; `root` is the way to the service's
    root."""
    alert = "" if problem is None else f'<p role="alert">{escape(problem.detail)}</p>'
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>pushsvc: log in</title><style>{_STYLE}</style>"
        f'<main><form method="post" action="{root}v1/login"><h1>pushsvc</h1>'
        f"{alert}"
        '<label for="token">Your key or token</label>'
        '<input id="token" name="token" type="password" required autofocus '
        'autocomplete="current-password" spellcheck="false">'
        "<button>Log in</button></form></main></html>\n"
    )
    response = Response(
        page, status=200 if problem is None else problem.status, content_type="text/html"
    )
    response.headers.update(origins.page_headers(style=f"'{style_hash(_STYLE)}'", form="'self'"))
    response.headers["Cache-Control"] = "no-store"
    return response

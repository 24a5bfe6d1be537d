"""The known proxies, and which of them an answer went through."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from importlib import resources

import msgspec

from pushsvc.doctor.findings import Cure, Proxy


def known() -> tuple[Proxy, ...]:
    """All proxies of the table."""
    text = resources.files("pushsvc.doctor").joinpath("proxies.json").read_bytes()
    return msgspec.json.decode(text, type=tuple[Proxy, ...])


def seen_in(headers: Mapping[str, str], proxies: Collection[Proxy]) -> list[Proxy]:
    """The proxies that show in the header fields of an answer; `headers` has lower-case names."""
    return [proxy for proxy in proxies if any(_shows(sign, headers) for sign in proxy.signs)]


def _shows(sign: str, headers: Mapping[str, str]) -> bool:
    name, _, pattern = sign.partition(": ")
    return re.search(pattern, headers.get(name, ""), re.IGNORECASE) is not None


def fitting(cures: Collection[Cure], proxies: Collection[Proxy]) -> list[Proxy]:
    """The proxies, each with only the settings that help against what was found."""
    chosen = []
    for proxy in proxies:
        settings = tuple(one for one in proxy.settings if one.cure in cures)
        if settings:
            chosen.append(msgspec.structs.replace(proxy, settings=settings))
    return chosen

"""Every operation, by every way to send a token, with every sort of key and of token: against an
oracle that is stated from the rules alone (`credentials.verdict`)."""

from __future__ import annotations

import httpx
import pytest

from pushsvc.app import create_app
from pushsvc.auth.keys import make_key, table_of
from pushsvc.config import Auth
from pushsvc.core.resources.limits import Pacing
from tests import tokens
from tests.auth.credentials import WAYS, Carried, Sort, make, verdict
from tests.auth.operations import OPEN, Operation, operations
from tests.serving import TRUST, serving
from tests.test_hazards import context

DESCRIPTIONS = ("/openapi.json", "/asyncapi.json")
_BY_EACH_WAY = (Sort.FULL, Sort.READER, Sort.EXPIRED)
"""What is sent by each way to each operation every day."""
OPERATIONS = {operation.name: operation for operation in operations()}


@pytest.fixture(scope="module")
def by_token(tmp_path_factory: pytest.TempPathFactory) -> tuple[Auth, dict[Sort, str]]:
    """A service that takes the issuer's tokens, and a token of each sort."""
    auth = Auth(
        mode="jwt",
        public_keys_file=tokens.write_public_key(tmp_path_factory.mktemp("keys")),
        issuer=tokens.ISSUER,
        audience=tokens.AUDIENCE,
    )
    return auth, {sort: make(sort) for sort in Sort}


@pytest.fixture(scope="module")
def by_key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Auth, dict[Sort, str]]:
    """A service that takes keys, and a key of each sort that there is."""
    all_ = ['{__name__=~".+"}']
    none: list[str] = []
    grants = {
        Sort.FULL: (all_, all_, True),
        Sort.READER: (all_, none, False),
        Sort.WRITER: (none, all_, False),
        Sort.OPERATOR: (none, none, True),
        Sort.NOBODY: (none, none, False),
        Sort.EXPIRED: (all_, all_, True),
    }
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    keys, tables = {}, []
    for sort, (read, write, operator) in grants.items():
        keys[sort], id_, hash_ = make_key()
        table = table_of(id_, hash_, name=sort.value, read=read, write=write, operator=operator)
        tables.append(table + "expires = 2020-01-01T00:00:00Z\n" * (sort is Sort.EXPIRED))
    file.write_text("\n".join(tables))
    _, id_, secret = keys[Sort.FULL].split("_", 2)
    keys[Sort.UNKNOWN_KID] = make_key()[0]
    keys[Sort.WRONG_KEY] = f"pushsvc_{id_}_{'A' * 43}"
    keys[Sort.TAMPERED] = f"pushsvc_{keys[Sort.READER].split('_')[1]}_{secret}"
    keys[Sort.NO_SIGNATURE] = f"pushsvc_{id_}_"
    keys[Sort.UNSIGNED] = hash_.removeprefix("sha256:")
    keys[Sort.NONSENSE] = "x"
    keys[Sort.OTHER_ALGORITHM] = make(Sort.FULL)
    return Auth(mode="keys", keys_file=str(file)), keys


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("mode", ["by_token", "by_key"])
@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_is_open_to_whom_it_should_be_and_to_nobody_else(
    name: str, mode: str, whole: bool, request: pytest.FixtureRequest
) -> None:
    """Every day: each sort by one way, and by each way one of each operation's own; the ways are
    the same code for all operations."""
    auth, credentials = request.getfixturevalue(mode)
    operation: Operation = OPERATIONS[name]
    wrong = []
    async with serving(auth=auth) as served:
        origin = served.url
        async with httpx.AsyncClient(base_url=origin, timeout=10, verify=TRUST) as http:
            if await operation.attempt(served, Carried()) != 401:
                wrong.append("without a token")
            for way, present in WAYS.items():
                for sort, text in credentials.items():
                    if not whole and way != "bearer" and sort not in _BY_EACH_WAY:
                        continue
                    expected = verdict(operation.need, way, sort)
                    if (name, way, expected) == ("ticket", "ticket", 200):
                        expected = 403  # a ticket isn't exchanged for another
                    got = await operation.attempt(served, await present(http, text))
                    if got != expected:
                        wrong.append(f"{way}, {sort.value}: {got}, not {expected}")
    assert not wrong


async def test_no_operation_is_missing_from_the_matrix() -> None:
    async with context(Pacing()) as parts:
        endpoints = {rule.endpoint for rule in create_app(parts).url_map.iter_rules()}
    # Calls of gRPC are answered before there are routes.
    assert (endpoints - {"static"}) | {"grpc"} == OPEN | {
        operation.endpoint for operation in OPERATIONS.values()
    }


async def test_what_is_open_is_open_to_wrong_tokens_too(
    by_token: tuple[Auth, dict[Sort, str]],
) -> None:
    auth, credentials = by_token
    async with serving(auth=auth) as served:
        for path in ("/livez", "/readyz", *DESCRIPTIONS, "/", "/ping", "/health"):
            for headers in ({}, tokens.bearer(credentials[Sort.EXPIRED])):
                answer = await served.http.get(path, headers=headers)
                assert answer.status_code in (200, 204), path

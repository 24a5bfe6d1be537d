"""Requests by the thousand that schemathesis makes up from the description, valid and not.

Whatever comes, the service answers with a status, a media type and a body that are described, and
never with a crash. Left out: streams, which don't end, and remote write, whose bodies are protobuf.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio

from pushsvc.config import Auth
from tests import tokens
from tests.serving import serving
from tests.tokens import token

pytestmark = pytest.mark.long

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


@pytest.mark.timeout(420)
@pytest.mark.parametrize("locked", [False, True])
async def test_no_request_is_answered_otherwise_than_described(
    locked: bool, tmp_path: Path
) -> None:
    auth = Auth()
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        "--no-color",
        "--seed=1",
        "--phases=coverage,fuzzing",
        "--max-examples=20",
        "--request-timeout=10",
        f"--checks={','.join(CHECKS)}",
        "--exclude-path=/v1/stream",
        # So many a second are not let in.
        "--exclude-path-regex=^/v1/doctor/",
        "--exclude-path=/api/v1/write",
    ]
    if locked:
        auth = Auth(mode="jwt", public_keys_file=tokens.write_public_key(tmp_path))
        command += ["--header", f"Authorization: Bearer {token()}"]
    async with serving(auth=auth) as served:
        with trio.fail_after(400):
            done = await trio.run_process(
                [*command, f"{served.url}/openapi.json"],
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                check=False,
                cwd=tmp_path,
            )
        assert (await served.http.get("/readyz")).status_code == 200
    assert done.returncode == 0, done.stdout.decode()[-5000:]

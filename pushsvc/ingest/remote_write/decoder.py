"""Prometheus remote write, versions 1.0 and 2.0: a snappy block of protobuf to a Batch.

What a series is called comes as the very same bytes in each request, so its labels are read once
and looked up by those bytes from then on; the usual request, one sample of each series, is then
taken apart without protobuf. Whatever looks otherwise goes through protobuf.
"""

from __future__ import annotations

import cramjam
from google.protobuf.message import DecodeError

from pushsvc.core.resources.limits import Limits
from pushsvc.errors import Malformed, TooLarge
from pushsvc.ingest.histograms.kept import MOST
from pushsvc.ingest.remote_write.known import KnownSeries
from pushsvc.ingest.remote_write.natives import Natives
from pushsvc.ingest.remote_write.taking import Decoded, Taking
from pushsvc.ingest.remote_write.version1 import Version1
from pushsvc.ingest.remote_write.version2 import Version2
from pushsvc.ingest.remote_write.wire import announced


class RemoteWriteDecoder:
    """Decodes requests. It remembers series and metadata; not to be called from two threads."""

    def __init__(self, limits: Limits, *, buckets: int = MOST) -> None:
        """Of a native histogram `buckets` are kept at the most."""
        self._limits = limits
        self._natives = Natives(limits, buckets)
        series = KnownSeries(2 * limits.series)
        self._version1 = Version1(limits, series)
        self._version2 = Version2(limits, series)
        self._starts: dict[str, int] = {}

    def decode(self, body: bytes, now_ms: int, *, version: int) -> Decoded:
        """Decode a request of version 1 or 2, as it was sent.

        Raises Malformed where it can't be read at all, TooLarge beyond `limits.body_bytes` or
        `limits.batch_samples`; what is wrong with single series stands in the answer.
        """
        data = self._inflate(body)
        taking = Taking(self._limits, now_ms, self._starts, self._natives)
        try:
            if version == 1:
                self._version1.take(data, taking)
            else:
                self._version2.take(data, taking)
        except DecodeError as error:
            raise Malformed("protobuf", f"not a remote write request: {error}") from None
        except UnicodeDecodeError:
            raise Malformed("protobuf", "a string is not UTF-8") from None
        return taking.finish()

    def remember(self, decoded: Decoded) -> None:
        """A request was applied: what it says of when series began counts from now on, and so do
        the bounds of its histograms."""
        self._natives.shapes.remember(decoded.shapes)
        if len(self._starts) + len(decoded.starts) > 2 * self._limits.series:
            self._starts.clear()
        self._starts.update(decoded.starts)

    def _inflate(self, body: bytes) -> bytes:
        size = announced(body)
        if size > self._limits.body_bytes:
            raise TooLarge(
                "body",
                f"the body inflates to {size} bytes, the limit is {self._limits.body_bytes} "
                "(limits.body_bytes)",
                limit="body_bytes",
            )
        try:
            return bytes(cramjam.snappy.decompress_raw(body))
        except cramjam.DecompressionError as error:
            raise Malformed("snappy", f"not a snappy block: {error}") from None

"""Compression on WebSockets: permessage-deflate (RFC 7692) with nothing kept between messages.

A frame is compressed once for everyone who watches a view, so no message may refer to the one
before it: neither side keeps a context, and what a connection costs does not grow. Inbound, the
inflated size is bounded while it inflates.
"""

from __future__ import annotations

import zlib

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

_NAME = "permessage-deflate"
_WINDOW = 15
"""Bits of the window that shared frames are compressed with; every inflater of 15 reads them."""
_TAIL = b"\x00\x00\xff\xff"
_BOUNDS = [str(bits) for bits in range(8, 16)]


def negotiate(offers: str) -> str | None:
    """The answer to a `Sec-WebSocket-Extensions` header; None, which leaves the header out,
    declines.

    The first acceptable offer is accepted. An offer that wants a smaller window from the server
    isn't acceptable, since its frames couldn't be shared.
    """
    for offer in offers.split(","):
        answer = _accept(offer)
        if answer is not None:
            return answer
    return None


def _accept(offer: str) -> str | None:
    name, *parameters = (part.strip() for part in offer.split(";"))
    if name != _NAME:
        return None
    answer = f"{_NAME}; server_no_context_takeover; client_no_context_takeover"
    met = set()
    for parameter in parameters:
        key, _, value = (part.strip() for part in parameter.partition("="))
        value = value.strip('"')
        if key in met:
            return None
        met.add(key)
        if key == "server_max_window_bits" and value == str(_WINDOW):
            answer += f"; server_max_window_bits={_WINDOW}"
        elif key == "client_max_window_bits":
            if value and value not in _BOUNDS:
                return None
        elif key not in ("server_no_context_takeover", "client_no_context_takeover") or value:
            return None
    return answer


class BoundedInflate(Extension):
    """What wsproto inflates messages with, none of them to more than `most` bytes."""

    name = _NAME

    def __init__(self, most: int) -> None:
        self._most = most
        self._data_frame = False
        self._compressed: bool | None = None  # of the message that is under way, if one is
        self._inflater = zlib.decompressobj(-_WINDOW)
        self._inflated = 0

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return False  # used only on the server's side, which makes no offers

    def frame_inbound_header(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002
        opcode: Opcode,
        rsv: RsvBits,
        payload_length: int,  # noqa: ARG002
    ) -> CloseReason | RsvBits:
        self._data_frame = not opcode.iscontrol()
        if rsv.rsv1 and (opcode.iscontrol() or opcode is Opcode.CONTINUATION):
            return CloseReason.PROTOCOL_ERROR
        if self._data_frame and self._compressed is None:
            self._compressed = rsv.rsv1
        return RsvBits(True, False, False)

    def frame_inbound_payload_data(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002
        data: bytes,
    ) -> bytes | CloseReason:
        return self._inflate(data) if self._data_frame and self._compressed else data

    def frame_inbound_complete(
        self,
        proto: FrameDecoder | FrameProtocol,  # noqa: ARG002
        fin: bool,
    ) -> bytes | CloseReason | None:
        if not fin or not self._data_frame:
            return None
        compressed, self._compressed = self._compressed, None
        if not compressed:
            return None
        last = self._inflate(_TAIL)
        self._inflater = zlib.decompressobj(-_WINDOW)
        self._inflated = 0
        return last

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        room = self._most + 1 - self._inflated
        try:
            inflated = self._inflater.decompress(bytes(data), room)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        if len(inflated) == room:
            return CloseReason.MESSAGE_TOO_BIG
        self._inflated += len(inflated)
        return inflated

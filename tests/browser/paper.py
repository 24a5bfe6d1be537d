"""What is on the pages of a PDF: `python paper.py FILE.pdf` writes each page as FILE-N.png.

It prints a JSON list of pages: the `text`, and which share of the page is `dark` and which
`coloured`.
"""

from __future__ import annotations

import json
import struct
import sys
import zlib
from pathlib import Path

import pypdfium2 as pdfium

SCALE = 1.5
"""Pixels of a point."""


def png(width: int, height: int, rows: list[bytes]) -> bytes:
    """Rows of red, green and blue as a file."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        sized = struct.pack(">I", len(body)) + kind + body
        return sized + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = chunk(b"IHDR", head), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def rows_of(bitmap: pdfium.PdfBitmap) -> list[bytes]:
    """Red, green and blue of each pixel; the bitmap has blue first."""
    raw, stride, step = bytes(bitmap.buffer), bitmap.stride, bitmap.n_channels
    rows = []
    for row in range(bitmap.height):
        line = raw[row * stride : row * stride + bitmap.width * step]
        turned = bytearray(3 * bitmap.width)
        for channel in range(3):
            turned[channel::3] = line[2 - channel :: step]
        rows.append(bytes(turned))
    return rows


def main(path: Path) -> None:
    pages = []
    for number, page in enumerate(pdfium.PdfDocument(path), 1):
        bitmap = page.render(scale=SCALE)
        rows = rows_of(bitmap)
        image = png(bitmap.width, bitmap.height, rows)
        path.with_name(f"{path.stem}-{number}.png").write_bytes(image)
        pixels = [
            (max(pixel), max(pixel) - min(pixel))
            for row in rows[::2]
            for pixel in zip(row[::3], row[1::3], row[2::3], strict=True)
        ]
        pages.append(
            {
                "text": page.get_textpage().get_text_bounded(),
                "dark": sum(light < 90 for light, _ in pixels) / len(pixels),
                "coloured": sum(spread > 50 for _, spread in pixels) / len(pixels),
            }
        )
    json.dump(pages, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

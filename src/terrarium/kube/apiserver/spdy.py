"""SPDY/3.1 as Kubernetes still speaks it for exec, attach and port-forward: frames in, events out, no socket.

Only what those streams need: SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY and DATA; flow control is left out, as in
the library on the other side. Header blocks share one zlib stream for each direction.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_WORDS = [
    "options",
    "head",
    "post",
    "put",
    "delete",
    "trace",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "age",
    "allow",
    "authorization",
    "cache-control",
    "connection",
    "content-base",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expect",
    "expires",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "range",
    "referer",
    "retry-after",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "method",
    "get",
    "status",
]
_MORE = ["200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin"]
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative "
    "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal "
    "Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, "
    "Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8"
    "charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack(">I", len(w)) + w.encode() for w in (*_WORDS, *_MORE)) + _TAIL.encode()
"""The dictionary of the specification, section 2.6.10.1."""

_SYN_STREAM, _SYN_REPLY, _RST, _PING, _GOAWAY, _HEADERS = 1, 2, 3, 6, 7, 8
FIN = 1
LARGEST = 16 * 1024 * 1024


class SpdyError(Exception):
    """The other side speaks no SPDY/3.1."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream of the other side, with lower-case header names."""

    stream: int
    headers: Mapping[str, str]
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    stream: int
    data: bytes
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    stream: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The other side goes away."""


Event = Opened | Data | Reset | Closed


@dataclass(slots=True)
class Connection:
    """`feed` bytes, read events; what must be sent is what the methods return and what `pending` gathers."""

    pending: list[bytes] = field(default_factory=list)
    _buffer: bytearray = field(default_factory=bytearray)
    _inflate: zlib._Decompress = field(default_factory=lambda: zlib.decompressobj(zdict=DICTIONARY))
    _deflate: zlib._Compress = field(default_factory=lambda: zlib.compressobj(zdict=DICTIONARY))

    def feed(self, data: bytes) -> Iterator[Event]:
        self._buffer += data
        while len(self._buffer) >= 8:
            first, second = struct.unpack(">II", self._buffer[:8])
            size = second & 0xFFFFFF
            if size > LARGEST:
                raise SpdyError("a frame is too large")
            if len(self._buffer) < 8 + size:
                return
            body = bytes(self._buffer[8 : 8 + size])
            del self._buffer[: 8 + size]
            flags = second >> 24
            if not first >> 31:
                yield Data(first & 0x7FFFFFFF, body, bool(flags & FIN))
                continue
            if (first >> 16) & 0x7FFF != 3:
                raise SpdyError("not version 3")
            event = self._control(first & 0xFFFF, flags, body)
            if event is not None:
                yield event

    def _control(self, kind: int, flags: int, body: bytes) -> Event | None:
        try:
            if kind == _SYN_STREAM:
                stream = struct.unpack(">I", body[:4])[0] & 0x7FFFFFFF
                return Opened(stream, self._headers(body[10:]), bool(flags & FIN))
            if kind in (_SYN_REPLY, _HEADERS):
                self._headers(body[4:])
            elif kind == _RST:
                return Reset(struct.unpack(">I", body[:4])[0] & 0x7FFFFFFF)
            elif kind == _PING:
                self.pending.append(_frame(_PING, 0, body))
            elif kind == _GOAWAY:
                return Closed()
        except (struct.error, zlib.error, UnicodeDecodeError) as error:
            raise SpdyError(str(error)) from None
        return None

    def _headers(self, block: bytes) -> dict[str, str]:
        plain = self._inflate.decompress(block)
        found: dict[str, str] = {}
        at = 4
        for _ in range(struct.unpack(">I", plain[:4])[0]):
            texts: list[str] = []
            for _ in range(2):
                size = struct.unpack(">I", plain[at : at + 4])[0]
                texts.append(plain[at + 4 : at + 4 + size].decode())
                at += 4 + size
            found[texts[0].lower()] = texts[1]
        return found

    def _block(self, headers: Mapping[str, str]) -> bytes:
        parts = [struct.pack(">I", len(headers))]
        for name, value in headers.items():
            for text in (name, value):
                data = text.encode()
                parts += [struct.pack(">I", len(data)), data]
        return self._deflate.compress(b"".join(parts)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def open(self, stream: int, headers: Mapping[str, str]) -> bytes:
        """A SYN_STREAM of our own."""
        return _frame(_SYN_STREAM, 0, struct.pack(">IIH", stream, 0, 0) + self._block(headers))

    def reply(self, stream: int) -> bytes:
        return _frame(_SYN_REPLY, 0, struct.pack(">I", stream) + self._block({}))

    @staticmethod
    def data(stream: int, data: bytes, *, fin: bool = False) -> bytes:
        return struct.pack(">II", stream, (FIN if fin else 0) << 24 | len(data)) + data

    @staticmethod
    def reset(stream: int) -> bytes:
        return _frame(_RST, 0, struct.pack(">II", stream, 5))

    @staticmethod
    def goaway() -> bytes:
        return _frame(_GOAWAY, 0, struct.pack(">II", 0, 0))


def _frame(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack(">HHI", 0x8003, kind, flags << 24 | len(body)) + body

"""DEFLATE to the byte as Go's `compress/flate` makes it, so that archives have the hashes which the real provider shows.

RFC 1951 leaves the choice of matches, of block ends and of code lengths to the compressor; hashes of archives depend on
them. What Go chooses, at the levels with lazy matching (4 to 9):

- matches have at least four bytes, found by chains of positions with the same 17-bit hash; a match waits for one step in
  case the next position has a longer one; a match of four bytes counts only within 4096 bytes;
- the window is twice 32 KiB and slides by half of it, only as far back as its start can be looked;
- a block ends after 16384 tokens, and is written stored, with the fixed code or with its own, whichever is smallest;
- code lengths are those of package-merge with pairs before leaves of the same weight;
- the stream ends with an empty stored block.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_WINDOW: Final = 1 << 15
_MIN, _MAX = 4, 258
_LOOK: Final = _MIN + _MAX
_BLOCK: Final = 1 << 14
_END: Final = 256
_STORED_MOST: Final = 65535
_LEVELS: Final = {4: (4, 16, 16), 5: (16, 32, 32), 6: (16, 128, 128), 7: (32, 128, 256), 8: (128, 258, 1024)}
"""Level: (longest match that a longer one is looked for, length that is good enough, positions to try)."""
_MATCH: Final = 1 << 25
"""Marks a token that is a match: its length is in bits 16 to 24, its distance below."""


def _bases(groups: Sequence[tuple[int, int]], first: int) -> tuple[list[int], list[int]]:
    """(extra bits, smallest value) of each code. `groups` are (extra bits, how many codes)."""
    extra, base, value = [], [], first
    for bits, count in groups:
        for _ in range(count):
            extra.append(bits)
            base.append(value)
            value += 1 << bits
    return extra, base


_LENGTH_EXTRA, _LENGTH_BASE = _bases([(0, 8), *((b, 4) for b in range(1, 6))], 3)
_LENGTH_EXTRA.append(0)
_LENGTH_BASE.append(_MAX)
_OFFSET_EXTRA, _OFFSET_BASE = _bases([(0, 4), *((b, 2) for b in range(1, 14))], 1)
_CODEGEN_ORDER: Final = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


def _inverse(base: Sequence[int], most: int) -> list[int]:
    """The code of each value."""
    found = [0] * (most + 1)
    for code, start in enumerate(base):
        for value in range(start, min(base[code + 1] if code + 1 < len(base) else most + 1, most + 1)):
            found[value] = code
    return found


_LENGTH_CODE = _inverse(_LENGTH_BASE, _MAX)
_OFFSET_CODE = _inverse(_OFFSET_BASE, _WINDOW)


def deflate(data: bytes, level: int, *, flushed: bool = False) -> bytes:
    """The whole stream; `flushed` when it was flushed before it was closed, which leaves an empty block."""
    out = _Bits()
    _Matcher(data, out, *_LEVELS[level]).run()
    if flushed:
        out.stored_header(0)
    out.stored_header(0, last=True)
    return bytes(out.out)


def gzipped(data: bytes, *, flushed: bool = False) -> bytes:
    """A gzip file as `compress/gzip` writes it: no name, no time, an unknown system."""
    trailer = struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + deflate(data, 6, flushed=flushed) + trailer


@dataclass(slots=True)
class _Bits:
    """Bits, the low ones first."""

    out: bytearray = field(default_factory=bytearray)
    held: int = 0
    count: int = 0

    def put(self, value: int, bits: int) -> None:
        self.held |= value << self.count
        self.count += bits
        if self.count >= 64:
            whole = self.count // 8
            self.out += (self.held & ((1 << whole * 8) - 1)).to_bytes(whole, "little")
            self.held >>= whole * 8
            self.count -= whole * 8

    def align(self) -> None:
        whole = (self.count + 7) // 8
        self.out += self.held.to_bytes(whole, "little")
        self.held = self.count = 0

    def stored_header(self, length: int, last: bool = False) -> None:
        self.put(int(last), 3)
        self.align()
        self.out += length.to_bytes(2, "little") + (length ^ 0xFFFF).to_bytes(2, "little")


# --- matches -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Matcher:
    data: bytes
    out: _Bits
    lazy: int
    nice: int
    chain: int
    tokens: list[int] = field(default_factory=list)
    block_start: int | None = 0

    def run(self) -> None:
        """Positions are those in `data`; `base` is where the window begins."""
        data, tokens = self.data, self.tokens
        size = len(data)
        head = [-1] * (1 << 17)
        hashes = _hashes(data)
        previous = [-1] * _WINDOW
        base = index = offset = 0
        length, candidate, pending = _MIN - 1, -1, False
        while True:
            end = min(base + 2 * _WINDOW, size)
            final = end == size
            insertable = end - (_MIN - 1)
            while end - index >= _LOOK or (final and index < end):
                if index < insertable:
                    key = hashes[index]
                    candidate = previous[index & (_WINDOW - 1)] = head[key]
                    head[key] = index
                before, before_offset = length, offset
                length, offset = _MIN - 1, 0
                ahead = end - index
                lowest = max(index - _WINDOW, base)
                if candidate >= lowest and ahead > before and before < self.lazy:
                    length, offset = self._longest(index, candidate, min(ahead, _MAX), base, previous)
                if before >= _MIN and length <= before:
                    tokens.append(_MATCH | before << 16 | before_offset)
                    stop = index + before - 1
                    index += 1
                    while index < stop:
                        if index < insertable:
                            key = hashes[index]
                            previous[index & (_WINDOW - 1)] = head[key]
                            head[key] = index
                        index += 1
                    length, pending = _MIN - 1, False
                    if len(tokens) == _BLOCK:
                        self._flush(index)
                else:
                    if pending:
                        tokens.append(data[index - 1])
                        if len(tokens) == _BLOCK:
                            self._flush(index)
                    index += 1
                    pending = True
            if final:
                break
            if self.block_start is not None and self.block_start < base + _WINDOW:
                self.block_start = None
            base += _WINDOW
        if pending:
            tokens.append(data[index - 1])
        if tokens:
            self._flush(index)

    def _longest(self, at: int, candidate: int, most: int, base: int, previous: Sequence[int]) -> tuple[int, int]:
        """(length, distance) of the best match among the candidates."""
        data = self.data
        good = min(most, self.nice)
        length, offset = _MIN - 1, 0
        lowest = at - _WINDOW
        wanted = data[at : at + length + 1]
        for _ in range(self.chain):
            # Only a match that is longer than the best so far is of interest.
            if data.startswith(wanted, candidate):
                found = _common(data, candidate, at, length + 1, most)
                if found > _MIN or at - candidate <= 4096:
                    length, offset = found, at - candidate
                    if found >= good:
                        break
                    wanted = data[at : at + found + 1]
            if candidate == lowest:
                break
            candidate = previous[candidate & (_WINDOW - 1)]
            if candidate < lowest or candidate < base:
                break
        return length, offset

    def _flush(self, index: int) -> None:
        stored = self.data[self.block_start : index] if self.block_start is not None else None
        self.block_start = index
        _write_block(self.out, self.tokens, stored)
        self.tokens.clear()


def _hashes(data: bytes) -> list[int]:
    """The hash of the four bytes at each position."""
    return [
        ((a << 24 | b << 16 | c << 8 | d) * 0x1E35A7BD & 0xFFFFFFFF) >> 15
        for a, b, c, d in zip(data, data[1:], data[2:], data[3:], strict=False)
    ]


def _common(data: bytes, one: int, other: int, least: int, most: int) -> int:
    """How many bytes are the same, of which `least` are known to be and `most` are of interest."""
    low, high = least, most
    while low < high:
        middle = (low + high + 1) // 2
        if data[one + low : one + middle] == data[other + low : other + middle]:
            low = middle
        else:
            high = middle - 1
    return low


# --- codes -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Code:
    """A prefix code: bits (reversed, ready to be written) and lengths by symbol."""

    bits: list[int]
    lengths: list[int]

    def cost(self, weights: Sequence[int]) -> int:
        return sum(w * n for w, n in zip(weights, self.lengths, strict=True) if w)


def _reversed(value: int, bits: int) -> int:
    return int(format(value, f"0{bits}b")[::-1], 2) if bits else 0


def _canonical(lengths: list[int]) -> _Code:
    """Codes of the same length count up in the order of the symbols, shorter ones first."""
    bits, code = [0] * len(lengths), 0
    for length in range(1, 16):
        code <<= 1
        for symbol, own in enumerate(lengths):
            if own == length:
                bits[symbol] = _reversed(code, length)
                code += 1
    return _Code(bits, lengths)


_FIXED = _canonical([8] * 144 + [9] * 112 + [7] * 24 + [8] * 6)
_FIXED_OFFSETS = _canonical([5] * 30)


def _optimal(weights: Sequence[int], most: int) -> _Code:
    """The best code of limited length for these weights."""
    leaves = sorted((w, symbol) for symbol, w in enumerate(weights) if w)
    lengths = [0] * len(weights)
    if len(leaves) <= 2:
        for _, symbol in leaves:
            lengths[symbol] = 1
        code = _Code([0] * len(weights), lengths)
        for index, symbol in enumerate(sorted(s for _, s in leaves)):
            code.bits[symbol] = index
        return code
    counts = _package_merge([w for w, _ in leaves], min(most, len(leaves) - 1))
    symbols = [symbol for _, symbol in leaves]
    for length, count in enumerate(counts, 1):
        for symbol in symbols[len(symbols) - count :] if count else ():
            lengths[symbol] = length
        symbols = symbols[: len(symbols) - count]
    return _canonical(lengths)


def _package_merge(weights: Sequence[int], most: int) -> list[int]:
    """How many symbols get codes of length 1, 2, … `most`. Weights ascend."""
    levels: list[list[tuple[int, bool]]] = []
    pairs: list[int] = []
    for _ in range(most):
        merged: list[tuple[int, bool]] = []
        leaf = pair = 0
        while leaf < len(weights) or pair < len(pairs):
            if pair == len(pairs) or (leaf < len(weights) and weights[leaf] < pairs[pair]):
                merged.append((weights[leaf], True))
                leaf += 1
            else:
                merged.append((pairs[pair], False))
                pair += 1
        levels.append(merged)
        pairs = [merged[i][0] + merged[i + 1][0] for i in range(0, len(merged) - 1, 2)]
    wanted, taken = 2 * len(weights) - 2, []
    for merged in reversed(levels):
        leaves = sum(is_leaf for _, is_leaf in merged[:wanted])
        taken.append(leaves)
        wanted = 2 * (wanted - leaves)
    return [own - below for own, below in zip(taken, [*taken[1:], 0], strict=True)]


def _runs(lengths: Sequence[int]) -> list[tuple[int, int, int]]:
    """Code lengths run together: (symbol, extra value, extra bits)."""
    found: list[tuple[int, int, int]] = []
    at = 0
    while at < len(lengths):
        size, count = lengths[at], 1
        while at + count < len(lengths) and lengths[at + count] == size:
            count += 1
        at += count
        if size:
            found.append((size, 0, 0))
            count -= 1
            while count >= 3:
                repeat = min(count, 6)
                found.append((16, repeat - 3, 2))
                count -= repeat
        else:
            while count >= 11:
                repeat = min(count, 138)
                found.append((18, repeat - 11, 7))
                count -= repeat
            if count >= 3:
                found.append((17, count - 3, 3))
                count = 0
        found += [(size, 0, 0)] * count
    return found


def _write_block(out: _Bits, tokens: Sequence[int], stored: bytes | None) -> None:
    """One block, in the smallest of the three forms."""
    literals, offsets = [0] * 286, [0] * 30
    for token in tokens:
        if token < _MATCH:
            literals[token] += 1
        else:
            literals[257 + _LENGTH_CODE[token >> 16 & 0x1FF]] += 1
            offsets[_OFFSET_CODE[token & 0xFFFF]] += 1
    literals[_END] = 1
    literal_count = max(i for i, w in enumerate(literals) if w) + 1
    if not any(offsets):
        offsets[0] = 1  # a tree must have a leaf
    offset_count = max(i for i, w in enumerate(offsets) if w) + 1
    storable = stored is not None and len(stored) <= _STORED_MOST
    extra = 0
    if storable:
        extra = sum(w * _LENGTH_EXTRA[i] for i, w in enumerate(literals[257:]))
        extra += sum(w * _OFFSET_EXTRA[i] for i, w in enumerate(offsets))
    own, own_offsets = _optimal(literals, 15), _optimal(offsets, 15)
    runs = _runs([*own.lengths[:literal_count], *own_offsets.lengths[:offset_count]])
    run_weights = [0] * 19
    for symbol, _, _ in runs:
        run_weights[symbol] += 1
    run_code = _optimal(run_weights, 7)
    run_count = 19
    while run_count > 4 and not run_weights[_CODEGEN_ORDER[run_count - 1]]:
        run_count -= 1
    header = 17 + 3 * run_count + run_code.cost(run_weights) + sum(bits for _, _, bits in runs)
    dynamic = header + own.cost(literals) + own_offsets.cost(offsets) + extra
    fixed = 3 + _FIXED.cost(literals) + _FIXED_OFFSETS.cost(offsets) + extra
    size = min(dynamic, fixed)
    if stored is not None and storable and (len(stored) + 5) * 8 < size:
        out.stored_header(len(stored))
        out.out += stored
        return
    if dynamic < fixed:
        out.put(4, 3)
        out.put(literal_count - 257, 5)
        out.put(offset_count - 1, 5)
        out.put(run_count - 4, 4)
        for symbol in _CODEGEN_ORDER[:run_count]:
            out.put(run_code.lengths[symbol], 3)
        for symbol, value, bits in runs:
            out.put(run_code.bits[symbol], run_code.lengths[symbol])
            if bits:
                out.put(value, bits)
        _write_tokens(out, tokens, own, own_offsets)
    else:
        out.put(2, 3)
        _write_tokens(out, tokens, _FIXED, _FIXED_OFFSETS)


def _write_tokens(out: _Bits, tokens: Sequence[int], code: _Code, offsets: _Code) -> None:
    put = out.put
    for token in tokens:
        if token < _MATCH:
            put(code.bits[token], code.lengths[token])
            continue
        length, offset = token >> 16 & 0x1FF, token & 0xFFFF
        symbol = _LENGTH_CODE[length]
        put(code.bits[257 + symbol], code.lengths[257 + symbol])
        if _LENGTH_EXTRA[symbol]:
            put(length - _LENGTH_BASE[symbol], _LENGTH_EXTRA[symbol])
        symbol = _OFFSET_CODE[offset]
        put(offsets.bits[symbol], offsets.lengths[symbol])
        if _OFFSET_EXTRA[symbol]:
            put(offset - _OFFSET_BASE[symbol], _OFFSET_EXTRA[symbol])
    put(code.bits[_END], code.lengths[_END])

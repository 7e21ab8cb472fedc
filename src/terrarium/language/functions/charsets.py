"""Character sets by their IANA names, for `textencodebase64` and `textdecodebase64`.

The sets, names and aliases are those Terraform knows; the tables are Python's codecs, with the few places where Go's
differ noted beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Charset:
    """`codec` is Python's; `differs` gives characters for bytes where Go's table has others. Without `controls` the
    bytes 0x80 to 0x9f mean nothing; `swaps` exchanges bytes of an EBCDIC page for those of the codec's page."""

    name: str
    codec: str
    controls: bool = True
    differs: Mapping[int, str] = field(default_factory=dict)
    swaps: bytes | None = None

    def encode(self, text: str) -> bytes:
        """UnicodeEncodeError for characters that the set doesn't have."""
        if not self.controls and any("\x80" <= c <= "\x9f" for c in text):
            raise UnicodeEncodeError(self.codec, text, 0, 1, "not in this set")
        if self.differs and (known := {char: bytes([byte]) for byte, char in self.differs.items()}):
            return b"".join(known.get(c) or c.encode(self.codec) for c in text)
        data = text.encode(self.codec)
        if self.swaps is not None:
            data = data.translate(self.swaps)
        if self.codec == "hz":
            data = data.removesuffix(b"~}")  # Go leaves the shift open
        return (b"\xfe\xff" if self.name == "UTF-16" else b"") + data

    def decode(self, data: bytes) -> str:
        """UnicodeDecodeError for bytes that the set doesn't have."""
        if not self.controls and any(0x80 <= byte <= 0x9F for byte in data):
            raise UnicodeDecodeError(self.codec, data, 0, 1, "not in this set")
        if self.name == "UTF-16" and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return data[2:].decode("utf-16-le" if data[:2] == b"\xff\xfe" else "utf-16-be")
        if self.differs:
            return "".join(self.differs.get(byte) or bytes([byte]).decode(self.codec) for byte in data)
        if self.swaps is not None:
            data = data.translate(self.swaps)  # the exchange is its own inverse
        return data.decode(self.codec)


# Page 1047 is page 037 with six characters in other places.
_PAGE_1047: Final = bytes.maketrans(
    bytes([0xAD, 0xBA, 0xBD, 0xBB, 0x5F, 0xB0]), bytes([0xBA, 0xAD, 0xBB, 0xBD, 0xB0, 0x5F])
)

_ALL: Final = (
    Charset("US-ASCII", "ascii"),
    Charset("UTF-8", "utf-8"),
    Charset("UTF-16", "utf-16-be"),
    Charset("UTF-16BE", "utf-16-be"),
    Charset("UTF-16LE", "utf-16-le"),
    Charset("ISO_8859-1:1987", "iso8859-1"),
    Charset("ISO_8859-9:1989", "iso8859-9"),
    *(
        Charset(name, f"iso8859-{codec}", controls=False)
        for name, codec in (
            ("ISO_8859-2:1987", 2), ("ISO_8859-3:1988", 3), ("ISO_8859-4:1988", 4), ("ISO_8859-5:1988", 5),
            ("ISO_8859-6:1987", 6), ("ISO_8859-6-E", 6), ("ISO_8859-6-I", 6), ("ISO_8859-7:1987", 7),
            ("ISO_8859-8:1988", 8), ("ISO_8859-8-E", 8), ("ISO_8859-8-I", 8), ("ISO-8859-10", 10), ("ISO-8859-13", 13),
            ("ISO-8859-14", 14), ("ISO-8859-15", 15), ("ISO-8859-16", 16),
        )
    ),
    *(Charset(f"windows-{page}", f"cp{page}") for page in (874, 1250, 1251, 1252, 1253, 1254, 1256, 1257, 1258)),
    Charset("windows-1255", "cp1255", differs={0xCA: "\u05ba"}),
    *(Charset(f"IBM{page}", f"cp{page}") for page in ("037", 437, 850, 852, 855, 860, 862, 863, 865, 866)),
    Charset("IBM00858", "cp858"),
    Charset("IBM01140", "cp1140"),
    Charset("IBM1047", "cp037", swaps=_PAGE_1047),
    Charset("KOI8-R", "koi8_r"),
    Charset("KOI8-U", "koi8_u", differs={0xAE: "\u045e", 0xBE: "\u040e"}),
    Charset("macintosh", "mac_roman"),
    Charset("Shift_JIS", "cp932"),
    Charset("Extended_UNIX_Code_Packed_Format_for_Japanese", "euc_jp"),
    Charset("ISO-2022-JP", "iso2022_jp"),
    Charset("EUC-KR", "cp949"),
    Charset("GBK", "gbk"),
    Charset("GB18030", "gb18030"),
    Charset("HZ-GB-2312", "hz"),
    Charset("Big5", "big5hkscs"),
)  # fmt: skip

_ALIASES: Final = {
    "US-ASCII": "iso-ir-6 ANSI_X3.4-1968 ANSI_X3.4-1986 ISO_646.irv:1991 ISO646-US us IBM367 cp367 csASCII",
    "UTF-8": "csUTF8",
    "UTF-16": "csUTF16",
    "UTF-16BE": "csUTF16BE",
    "UTF-16LE": "csUTF16LE",
    "ISO_8859-1:1987": "iso-ir-100 ISO_8859-1 ISO-8859-1 latin1 l1 IBM819 CP819 csISOLatin1",
    "ISO_8859-2:1987": "iso-ir-101 ISO_8859-2 ISO-8859-2 latin2 l2 csISOLatin2",
    "ISO_8859-3:1988": "iso-ir-109 ISO_8859-3 ISO-8859-3 latin3 l3 csISOLatin3",
    "ISO_8859-4:1988": "iso-ir-110 ISO_8859-4 ISO-8859-4 latin4 l4 csISOLatin4",
    "ISO_8859-5:1988": "iso-ir-144 ISO_8859-5 ISO-8859-5 cyrillic csISOLatinCyrillic",
    "ISO_8859-6:1987": "iso-ir-127 ISO_8859-6 ISO-8859-6 ECMA-114 ASMO-708 arabic csISOLatinArabic",
    "ISO_8859-7:1987": "iso-ir-126 ISO_8859-7 ISO-8859-7 ELOT_928 ECMA-118 greek greek8 csISOLatinGreek",
    "ISO_8859-8:1988": "iso-ir-138 ISO_8859-8 ISO-8859-8 hebrew csISOLatinHebrew",
    "ISO_8859-9:1989": "iso-ir-148 ISO_8859-9 ISO-8859-9 latin5 l5 csISOLatin5",
    "ISO-8859-10": "iso-ir-157 l6 ISO_8859-10:1992 csISOLatin6 latin6",
    "ISO-8859-13": "csISO885913",
    "ISO-8859-14": "iso-ir-199 ISO_8859-14:1998 ISO_8859-14 latin8 iso-celtic l8 csISO885914",
    "ISO-8859-15": "ISO_8859-15 Latin-9 csISO885915",
    "ISO-8859-16": "iso-ir-226 ISO_8859-16:2001 ISO_8859-16 latin10 l10 csISO885916",
    "ISO_8859-6-E": "csISO88596E ISO-8859-6-E",
    "ISO_8859-6-I": "csISO88596I ISO-8859-6-I",
    "ISO_8859-8-E": "csISO88598E ISO-8859-8-E",
    "ISO_8859-8-I": "csISO88598I ISO-8859-8-I",
    **{f"windows-{page}": f"cswindows{page}" for page in (874, *range(1250, 1259))},
    "IBM037": "cp037 ebcdic-cp-us ebcdic-cp-ca ebcdic-cp-wt ebcdic-cp-nl csIBM037",
    "IBM437": "cp437 437 csPC8CodePage437",
    "IBM850": "cp850 850 csPC850Multilingual",
    "IBM852": "cp852 852 csPCp852",
    "IBM855": "cp855 855 csIBM855",
    "IBM860": "cp860 860 csIBM860",
    "IBM862": "cp862 862 csPC862LatinHebrew",
    "IBM863": "cp863 863 csIBM863",
    "IBM865": "cp865 865 csIBM865",
    "IBM866": "cp866 866 csIBM866",
    "IBM00858": "CCSID00858 CP00858 PC-Multilingual-850+euro csIBM00858",
    "IBM01140": "CCSID01140 CP01140 ebcdic-us-37+euro csIBM01140",
    "IBM1047": "IBM-1047 csIBM1047",
    "KOI8-R": "csKOI8R",
    "KOI8-U": "csKOI8U",
    "macintosh": "mac csMacintosh",
    "Shift_JIS": "MS_Kanji csShiftJIS",
    "Extended_UNIX_Code_Packed_Format_for_Japanese": "EUC-JP csEUCPkdFmtJapanese",
    "ISO-2022-JP": "csISO2022JP",
    "EUC-KR": "csEUCKR",
    "GBK": "CP936 MS936 windows-936 csGBK",
    "GB18030": "csGB18030",
    "Big5": "csBig5",
}

_BY_NAME: Final[Mapping[str, Charset]] = {
    name.lower(): charset for charset in _ALL for name in (charset.name, *_ALIASES.get(charset.name, "").split())
}


def find(name: str) -> Charset | None:
    """The set of this name or alias, in whatever case."""
    return _BY_NAME.get(name.strip().lower())

"""Why Go's JSON reader refuses a text: the position-free sentences of `encoding/json`.

Only asked for when a text has been refused already, so it may be slow.
"""

from __future__ import annotations

from terrarium.kube.api.gotext import quote

_END = "unexpected end of JSON input"
_DEPTH = 10_000
_LITERALS = {"t": "true", "f": "false", "n": "null"}


class _Fault(Exception):
    pass


def fault(body: bytes) -> str:
    """The sentence; "" for a text that is fine."""
    try:
        _Scanner(body.decode("latin-1")).whole()
    except _Fault as found:
        return str(found)
    return ""


def _shown(char: str) -> str:
    if char == "'":
        return r"'\''"
    if char == '"':
        return "'\"'"
    return f"'{quote(char)[1:-1]}'"


class _Scanner:
    """Bytes as characters, as Go's scanner takes them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def blank(self) -> str:
        """The next character that is no blank; it is not passed."""
        while self.at < len(self.text) and self.text[self.at] in " \t\r\n":
            self.at += 1
        return self.peek()

    def peek(self) -> str:
        if self.at >= len(self.text):
            raise _Fault(_END)
        return self.text[self.at]

    def wrong(self, where: str) -> _Fault:
        return _Fault(f"invalid character {_shown(self.text[self.at])} {where}")

    def whole(self) -> None:
        self.value()
        while self.at < len(self.text):
            if self.text[self.at] not in " \t\r\n":
                raise self.wrong("after top-level value")
            self.at += 1

    def value(self) -> None:
        """One value. Open brackets are kept in a list: texts may be nested deeper than calls."""
        opened: list[str] = []
        while True:
            char = self.blank()
            if char in "[{":
                if len(opened) >= _DEPTH:
                    raise _Fault("exceeded max depth")
                self.at += 1
                if self.blank() == {"[": "]", "{": "}"}[char]:
                    self.at += 1
                else:
                    opened.append(char)
                    if char == "{":
                        self.key()
                    continue
            else:
                self.scalar(char)
            while opened:
                if not self.ends(opened[-1]):
                    break
                opened.pop()
            if not opened:
                return

    def ends(self, bracket: str) -> bool:
        """Behind a member: whether the list or object ends. Passes a comma and the next key."""
        char = self.blank()
        if char == {"[": "]", "{": "}"}[bracket]:
            self.at += 1
            return True
        if char != ",":
            raise self.wrong("after array element" if bracket == "[" else "after object key:value pair")
        self.at += 1
        if bracket == "{":
            self.key()
        return False

    def key(self) -> None:
        if self.blank() != '"':
            raise self.wrong("looking for beginning of object key string")
        self.string()
        if self.blank() != ":":
            raise self.wrong("after object key")
        self.at += 1

    def scalar(self, char: str) -> None:
        if char == '"':
            self.string()
        elif char in _LITERALS:
            self.literal(_LITERALS[char])
        elif char == "-" or char.isdigit():
            self.number()
        else:
            raise self.wrong("looking for beginning of value")

    def literal(self, word: str) -> None:
        for index, letter in enumerate(word):
            if self.peek() != letter:
                raise self.wrong(f"in literal {word} (expecting {_shown(word[index])})")
            self.at += 1

    def string(self) -> None:
        self.at += 1
        while (char := self.peek()) != '"':
            if char < " ":
                raise self.wrong("in string literal")
            self.at += 1
            if char == "\\":
                self.escape()
        self.at += 1

    def escape(self) -> None:
        char = self.peek()
        if char not in 'bfnrt\\/"u':
            raise self.wrong("in string escape code")
        self.at += 1
        if char == "u":
            for _ in range(4):
                if self.peek() not in "0123456789abcdefABCDEF":
                    raise self.wrong("in \\u hexadecimal character escape")
                self.at += 1

    def digits(self, where: str) -> None:
        if not self.peek().isdigit():
            raise self.wrong(where)
        while self.at < len(self.text) and self.text[self.at].isdigit():
            self.at += 1

    def number(self) -> None:
        if self.peek() == "-":
            self.at += 1
        if self.peek() == "0":
            self.at += 1
        else:
            self.digits("in numeric literal")
        if self.text[self.at : self.at + 1] == ".":
            self.at += 1
            self.digits("after decimal point in numeric literal")
        if self.text[self.at : self.at + 1] in ("e", "E"):
            self.at += 1
            if self.peek() in "+-":
                self.at += 1
            self.digits("in exponent of numeric literal")

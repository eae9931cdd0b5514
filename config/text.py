"""The text of a file that somebody saved with whatever editor they had."""

from __future__ import annotations

import codecs
import re

from config.problems import Problem, UserError

LIMIT_BYTES = 64 * 1024

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CONTROL = re.compile(
    rb"[\x00-\x08\x0e-\x1f\x7f]"
)  # text has none; ASCII is the same in all three
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LATIN = "A-Za-z\u00c0-\u024f"
_PRIVATE_USE = "\ue000-\uf8ff\U000f0000-\U0010ffff"
_HAN_CHARACTER = f"[{_HAN}]"
_NOT_CHINESE = (  # private use, or a lone Chinese character that touches a Latin letter
    f"[{_PRIVATE_USE}]|(?<=[{_LATIN}])[{_HAN}](?![{_HAN}])|(?<![{_HAN}])[{_HAN}](?=[{_LATIN}])"
)


def decode(content: bytes, name: str) -> str:
    r"""Give the text of a file, its line ends as \n, without a byte order mark.

    Reads UTF-8, UTF-16 with a mark, and GB18030 where the result reads as Chinese; `name` is for
    messages. Raises UserError for anything else, for binary files and beyond LIMIT_BYTES.
    """
    if len(content) > LIMIT_BYTES:
        raise _too_long(name)
    if content.startswith(_UTF_16_MARKS):
        text = _utf_16(content, name)
    elif _CONTROL.search(content):
        raise _no_text(name)
    else:
        text = _utf_8_or_chinese(content, name)
    return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _utf_16(content: bytes, name: str) -> str:
    try:
        text = content.decode("utf-16")
    except UnicodeDecodeError as error:
        what = "begins as UTF-16 but is damaged"
        raise UserError([Problem(name, what, "save it again, as UTF-8")]) from error
    if _CONTROL.search(text.encode()):
        raise _no_text(name)
    return text


def _utf_8_or_chinese(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = _chinese(content)
        if text is None:
            line = content.count(b"\n", 0, error.start) + 1
            what = f"byte 0x{content[error.start]:02X} is not UTF-8"
            advice = "save it as UTF-8 (in the editor: Save as, encoding UTF-8)"
            raise UserError([Problem(f"{name}, line {line}", what, advice)]) from error
        return text


def _chinese(content: bytes) -> str | None:
    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError:
        return None
    return text if _reads_as_chinese(text) else None


def _reads_as_chinese(text: str) -> bool:
    """Tell a Chinese text from one of another encoding that happens to decode.

    An accented letter of Latin-1 and the letter after it decode to one character, so a character
    between Latin letters betrays Latin-1. Other accidents, and most of Cyrillic and Japanese, give
    rare characters, while of written Chinese nearly all are in daily use.
    """
    if re.search(_NOT_CHINESE, text):  # compiled here: few files come so far
        return False
    han = re.findall(_HAN_CHARACTER, text)
    return bool(han) and sum(map(_is_in_daily_use, han)) * 2 >= len(han)


def _is_in_daily_use(character: str) -> bool:
    """Look into level 1 of GB 2312 (3755 simplified) and of Big5 (5401 traditional characters)."""
    simplified = character.encode("gb2312", errors="ignore")[:1]
    traditional = character.encode("big5", errors="ignore")[:1]
    return b"\xb0" <= simplified <= b"\xd7" or b"\xa4" <= traditional <= b"\xc6"


def _too_long(name: str) -> UserError:
    what = f"is longer than {LIMIT_BYTES // 1024} KiB"
    return UserError([Problem(name, what, "shorten it; is it the right file?")])


def _no_text(name: str) -> UserError:
    what = "is no text (it holds control characters)"
    return UserError([Problem(name, what, "write it in a text editor and save it as UTF-8")])

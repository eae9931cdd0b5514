"""The text of a file that somebody saved with whatever editor they had."""

from __future__ import annotations

import codecs
import re
import unicodedata

from config.problems import Problem, UserError

LIMIT_BYTES = 64 * 1024

_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CONTROL = re.compile(
    rb"[\x00-\x08\x0e-\x1f\x7f]"
)  # text has none; ASCII is the same in all three
_SAVE_AS_UTF_8 = "save it as UTF-8 (in the editor: Save as, encoding UTF-8)"
_UTF_7_RUN = re.compile(rb"\+[A-Za-z0-9+/]{3,}-")
_HZ_RUN = re.compile(rb"~\{[!-}]+~\}")
_TWO_BYTE_RUN = re.compile("[\u0080-\u07ff]+")
_SCRIPTS = frozenset(
    ("LATIN", "GREEK", "COPTIC", "CYRILLIC", "ARMENIAN", "HEBREW", "ARABIC", "SYRIAC", "THAANA")
)
_UNKNOWN = "?"  # a control or none at all
_ONE_WRITING = ({"CJK", "HIRAGANA", "KATAKANA"}, {"HANGUL"})


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
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        chinese = _chinese(content)
        if chinese is None:
            line = content.count(b"\n", 0, error.start) + 1
            what = f"byte 0x{content[error.start]:02X} is not UTF-8"
            raise UserError([Problem(f"{name}, line {line}", what, _SAVE_AS_UTF_8)]) from error
        return chinese
    if content.isascii():
        if encoding := _seven_bit_encoding(content):
            raise UserError([Problem(name, f"is in {encoding}, not in UTF-8", _SAVE_AS_UTF_8)])
    elif accident := _accident_in(text):
        chinese = _chinese(content)
        if chinese is None:
            what = f"is not in UTF-8, where it would read {accident!r}"
            raise UserError([Problem(name, what, _SAVE_AS_UTF_8)])
        return chinese
    return text


def _accident_in(text: str) -> str:
    """A word that nobody writes, of letters of several writings; "" where there is none.

    Bytes of other encodings may be UTF-8 by accident: those of three Chinese characters that mean
    "remove the watermark" are one Latin, one phonetic and one Russian letter.
    """
    for word in _TWO_BYTE_RUN.findall(text):
        scripts = {unicodedata.name(it, _UNKNOWN).split()[0] for it in word}
        if _UNKNOWN in scripts or len(scripts & _SCRIPTS) > 1:
            return str(word)
    return ""


def _chinese(content: bytes) -> str | None:
    # Imported here: few files come so far, and the tables are read with it.
    from config.chinese import reads_as_chinese  # noqa: PLC0415

    try:
        text = content.decode("gb18030")
    except UnicodeDecodeError:
        return None
    return text if reads_as_chinese(text) else None


def _seven_bit_encoding(content: bytes) -> str:
    """The encoding that writes other letters in ASCII alone; "" where this is plain ASCII."""
    if any(_decoded(run, "hz") for run in _HZ_RUN.findall(content)):
        return "HZ"
    runs = [_decoded(run, "utf-7") for run in _UTF_7_RUN.findall(content)]
    if runs and all(runs) and _is_of_one_writing("".join(runs)):
        return "UTF-7"
    return ""


def _decoded(run: bytes, encoding: str) -> str:
    """The letters that a run stands for; "" where it stands for itself."""
    try:
        text = run.decode(encoding)
    except UnicodeDecodeError:
        return ""
    is_written_so = encoding == "hz" or text.encode(encoding) == run
    return text if is_written_so and not text.isascii() and text.isalpha() else ""


def _is_of_one_writing(text: str) -> bool:
    """Whether these are letters of one writing: of "cat+dog-like" they are one of any."""
    scripts = {unicodedata.name(character, _UNKNOWN).split()[0] for character in text}
    if scripts == {"CJK"}:
        from config.chinese import reads_as_chinese  # noqa: PLC0415 - as above

        return reads_as_chinese(text)
    if any(scripts <= writing for writing in _ONE_WRITING):
        return len(text) > 1
    return len(scripts) == 1 and not text.isascii()


def _too_long(name: str) -> UserError:
    what = f"is longer than {LIMIT_BYTES // 1024} KiB"
    return UserError([Problem(name, what, "shorten it; is it the right file?")])


def _no_text(name: str) -> UserError:
    what = "is no text in UTF-8 (it holds control characters)"
    return UserError([Problem(name, what, _SAVE_AS_UTF_8)])

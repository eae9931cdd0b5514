"""Measures which texts of other encodings are read as Chinese, and which Chinese ones are refused.

Run it from the project's environment, with what it measures on beside it:

    pip install --target DIR wordfreq pythainlp Django opencc-python-reimplemented
    PYTHONPATH=DIR .venv/bin/python benchmarks/encodings.py [--out FILE]

It takes ten seconds. For each language 10,000 texts, a third of them single words and the
others two to six of them, and the translations of Django's messages, are written in each of the
encodings that the language was saved in and given to `config.text.decode`, and so are 5,000 YAML
instructions with English words among those: each that it gives back as something else is counted,
and so is each that is valid UTF-8 by accident. Against them stand
Chinese prompts in GB18030 of 3 to 60 characters: those of the small model's course and of
`prompts_zh.txt`, simplified and traditional, and the sentences of Django's Chinese translation.
"""

from __future__ import annotations

import argparse
import gettext
import importlib
import json
import random
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

# Before the folder of this file, where `import config` would find a file beside this one.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import machine
from config.problems import UserError
from config.text import decode
from training import sayings

_HERE = Path(__file__).resolve().parent
_OUT = _HERE / "results" / "encodings.json"
_TEXTS, _MIXED, _WORDS, _SHOWN = 10_000, 5_000, 40_000, 5
_ENCODINGS: Mapping[str, tuple[str, ...]] = {
    "ko": ("cp949", "utf-16-le"),
    "ja": ("euc_jp", "shift_jis", "utf-16-le"),
    "zh_Hant": ("big5", "utf-16-le"),
    "ru": ("cp1251", "koi8_r", "cp866", "iso8859_5"),
    "uk": ("cp1251", "koi8_u"),
    "bg": ("cp1251",),
    "el": ("cp1253",),
    "he": ("cp1255",),
    "ar": ("cp1256",),
    "vi": ("cp1258",),
    "tr": ("cp1254",),
    "th": ("cp874",),
    "de": ("cp1252", "cp850", "mac_roman"),
    "fr": ("cp1252", "cp850", "mac_roman"),
    "es": ("cp1252",),
    "pt": ("cp1252",),
    "sv": ("cp1252",),
    "pl": ("cp1250", "iso8859_2"),
    "cs": ("cp1250",),
    "hu": ("cp1250",),
    "ro": ("cp1250",),
    "lt": ("cp1257",),
    "lv": ("cp1257",),
    "is": ("cp1252",),
}
_UNSPACED = ("ja", "th", "zh_Hant")
_FILLINGS = ("红色", "圆形", "左上角", "心形", "星形", "蓝色", "三角形", "方块")
_HAN = re.compile("[\u4e00-\u9fff]")


def main() -> int:
    """Measure, show, write; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=_OUT)
    arguments = parser.parse_args()
    others = [*_others()]
    chinese = [_refusals(name, texts) for name, texts in _chinese_sets().items()]
    document = {
        "schema": 1,
        "what": "texts by their encodings, by benchmarks/encodings.py",
        **machine.measured(arguments.out.parent),
        "others": {
            "texts": sum(it["texts"] for it in others),
            "read_as_chinese": sum(it["read_as_chinese"] for it in others),
            "utf_8_by_accident": sum(it["utf_8_by_accident"] for it in others),
            "by_encoding": others,
        },
        "chinese": chinese,
    }
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    arguments.out.write_text(text, encoding="utf-8")
    for row in (*others, *chinese):
        print(row)
    return 0


def _others() -> Iterator[dict[str, Any]]:
    for language, encodings in _ENCODINGS.items():
        texts = [*_phrases(language), *_mixed(language), *_messages(language)]
        for encoding in encodings:
            yield _misreadings(language, encoding, texts)


def _misreadings(language: str, encoding: str, texts: Iterable[str]) -> dict[str, Any]:
    """How many texts that are not plain ASCII are read as another text."""
    count, accidents, wrong = 0, 0, list[tuple[str, str]]()
    for text in dict.fromkeys(texts):
        content = _encoded(text, encoding)
        if content is None or content.isascii():
            continue
        count += 1
        try:
            read = decode(content, "a.txt")
        except UserError:
            continue
        if _is_utf_8(content):
            accidents += 1
        else:
            wrong.append((text, read))
    return {
        "language": language,
        "encoding": encoding,
        "texts": count,
        "read_as_chinese": len(wrong),
        "utf_8_by_accident": accidents,
        "such_as": wrong[:_SHOWN],
    }


def _refusals(name: str, texts: Iterable[str]) -> dict[str, Any]:
    """How many Chinese texts in GB18030 are not read."""
    texts = sorted({it for it in texts if 3 <= len(it) <= 60 and len(_HAN.findall(it)) >= 3})
    refused = [it for it in texts if not _is_read(it)]
    return {
        "set": name,
        "texts": len(texts),
        "refused": len(refused),
        "share": round(len(refused) / len(texts), 4),
        "such_as": refused[:_SHOWN],
    }


def _is_read(text: str) -> bool:
    try:
        return decode(text.encode("gb18030"), "a.txt") == text
    except UserError:
        return False


def _encoded(text: str, encoding: str) -> bytes | None:
    try:
        return (unicodedata.normalize("NFD", text) if encoding == "cp1258" else text).encode(
            encoding
        )
    except UnicodeEncodeError:
        return None


def _is_utf_8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _phrases(language: str) -> Iterator[str]:
    draw, words = random.Random(language), _words(language)
    for number in range(_TEXTS):
        some = draw.choices(words, k=1 if number % 3 == 0 else draw.randint(2, 6))
        yield ("" if language in _UNSPACED else " ").join(some)


def _mixed(language: str) -> Iterator[str]:
    draw, words, english = random.Random(language), _words(language), _words("en")[:3000]
    for _ in range(_MIXED):
        some = (draw.choice(draw.choice((words, english))) for _ in range(draw.randint(2, 8)))
        yield f"prompt: {' '.join(some)}\nsteps: 8\n"


def _words(language: str) -> list[str]:
    if language == "th":
        corpus = importlib.import_module("pythainlp.corpus")
        return sorted(corpus.thai_words())
    words = importlib.import_module("wordfreq").top_n_list(language[:2], _WORDS)
    return _traditional(filter(_HAN.match, words)) if language == "zh_Hant" else list(words)


def _messages(language: str) -> Iterator[str]:
    top = Path(str(importlib.import_module("django").__file__)).parent
    for path in sorted(top.glob(f"**/locale/{language}/LC_MESSAGES/*.mo")):
        with path.open("rb") as file:
            catalog: dict[Any, str] = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        for key, text in catalog.items():
            yield from text.splitlines() if key else ()


def _traditional(texts: Iterable[str]) -> list[str]:
    converter = importlib.import_module("opencc").OpenCC("s2tw")
    return [converter.convert(text) for text in texts]


def _chinese_sets() -> Mapping[str, list[str]]:
    draw = random.Random(1)
    source = Path(str(sayings.__file__)).read_text(encoding="utf-8")
    patterns = [it for it in re.findall(r'"([^"]*)"', source) if _HAN.search(it)]
    course = [
        re.sub(r"\{\w\}", lambda _: draw.choice(_FILLINGS), pattern)
        for pattern in patterns
        for _ in range(3)
    ]
    prompts = (_HERE / "prompts_zh.txt").read_text(encoding="utf-8").splitlines()
    messages = [*_messages("zh_Hans")]
    return {
        "prompts": prompts,
        "the small model's course": course,
        "both, traditional": _traditional(dict.fromkeys(prompts + course)),
        "Django's messages": messages,
        "Django's messages of 8 or more Chinese characters": [
            it for it in messages if len(_HAN.findall(it)) >= 8
        ],
    }


if __name__ == "__main__":
    sys.exit(main())

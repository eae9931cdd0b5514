import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.problems import Problem, UserError
from config.text import LIMIT_BYTES, decode


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030"]
)
def test_a_chinese_prompt_is_read_in_every_encoding_that_editors_save(encoding: str) -> None:
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    assert decode(mark + "把背景换成海滩\n".encode(encoding), "a.txt") == "把背景换成海滩\n"


@pytest.mark.parametrize(
    "text",
    [
        "把背景换成海滩",
        "prompt: 把背景换成海滩\nsteps: 20\n",
        "把 background 换成 beach",
        "用背景dog换成海滩cat的图片",
        "將背景換成海灘,貓留在原處",  # traditional
        "變臺灣",
        "把天空变成“晚霞”,再加3只鸟。",
        "把背景换成 25 度的海滩",
        "去水印",
        "把T恤改成黑色",
        "把logo换成第二张图里的标志",
        "把“张伟”改成“刘洋”",
        "ＬＯＧＯ放大两倍",
        "将她的发型改为盘发，衣服换成旗袍",
        "標題改成：夏季清倉 全場5折",  # traditional
        "Replace the sign: 老王牛肉面, nothing else",
        "写上 Café 两个字，字体用黑体",
    ],
)
def test_chinese_saved_as_gbk_is_read(text: str) -> None:
    assert decode(text.encode("gb18030"), "a.txt") == text


@pytest.mark.parametrize(
    "text",
    [
        "Un café",
        "Un café au lait",
        "élan",
        "naïve painting",
        "Größer machen",
        "Müller über alles, schön groß",
        "forêt à côté",
        "crème brûlée",
        "señor, ¿qué?",
        "São Paulo",
        "25°C on the dial",
        "Make it “red”",
        "don\u2019t change the dog",
        "naïve\ncafé",
    ],
)
def test_western_text_that_is_not_utf_8_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="save it as UTF-8"):
        decode(text.encode("cp1252"), "a.txt")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("сделай фон красным, небо синим", "cp1251"),
        ("背景をビーチに変えてください", "shift_jis"),
        ("zmień tło na plażę o świcie", "cp1250"),
        ("하늘을 빨갛게 만들어 주세요", "cp949"),
        ("배경을 해변으로 바꿔 주세요", "cp949"),
        ("고양이 제거", "cp949"),
        ("prompt: 하늘을 빨갛게\nsteps: 8\n", "cp949"),
        ("天空を赤に", "euc-jp"),
        ("背景をビーチに変えてください", "euc-jp"),
        ("認定", "euc-jp"),  # 千年, read as Chinese
        ("空を赤く", "shift_jis"),
        ("将背景換成海灘", "shift_jis"),
        ("把背景換成海灘", "big5"),
        ("將天空變成紅色，其他不變", "big5"),
        ("сделай небо красным", "koi8-r"),
        ("СДЕЛАЙ НЕБО КРАСНЫМ", "koi8-r"),
        ("сделай небо красным", "cp866"),
        ("зроби небо червоним", "cp1251"),
        ("κάνε τον ουρανό κόκκινο", "cp1253"),
        ("ทำให้ท้องฟ้าเป็นสีแดง", "cp874"),
        ("הפוך את השמיים לאדומים", "cp1255"),
        ("اجعل السماء حمراء", "cp1256"),
        ("gökyüzünü kırmızı yap", "cp1254"),
        ("làm bầu trời đỏ", "cp1258"),
        ("padarykite dangų raudoną", "cp1257"),
    ],
)
def test_other_old_encodings_are_refused_rather_than_misread(text: str, encoding: str) -> None:
    written = unicodedata.normalize("NFD", text) if encoding == "cp1258" else text
    with pytest.raises(UserError, match="save it as UTF-8"):
        decode(written.encode(encoding, "ignore"), "a.txt")


@pytest.mark.parametrize("encoding", ["utf-7", "hz", "iso2022_jp_2", "utf-16-le", "utf-32"])
def test_encodings_without_a_mark_of_their_own_are_refused_in_the_same_words(
    encoding: str,
) -> None:
    for text in ("把背景换成海滩", "Make the sky red, 把背景换成海滩"):
        with pytest.raises(UserError, match="save it as UTF-8 "):
            decode(text.encode(encoding), "a.txt")


@pytest.mark.parametrize("text", ["Un café", "Größer machen", "сделай красным", "空を赤く"])
def test_seven_bit_letters_of_other_languages_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="is in UTF-7, not in UTF-8; save it as UTF-8 "):
        decode(text.encode("utf-7"), "a.txt")


@pytest.mark.parametrize(
    "text",
    [
        "cat+dog-like",
        "sun+shadow-free",
        "1+10-4",
        "C++ on the shirt",
        "+AGE-",
        "a~{b}~c",
        "10+000-style, +red-",
        "2+2=4",
    ],
)
def test_ascii_that_only_looks_like_an_encoding_is_itself(text: str) -> None:
    assert decode(text.encode(), "a.txt") == text


@pytest.mark.parametrize("text", ["去水印", "去水印\n"])
def test_chinese_whose_bytes_are_utf_8_by_accident_is_chinese(text: str) -> None:
    written = text.encode("gb18030")
    assert not written.decode().isascii()  # no error either
    assert decode(written, "a.txt") == text


@pytest.mark.parametrize(("text", "encoding"), [("誘導", "euc-jp"), ("露店", "euc-jp")])
def test_other_text_whose_bytes_are_utf_8_by_accident_is_refused(text: str, encoding: str) -> None:
    with pytest.raises(UserError, match=r"is not in UTF-8, where it would read .*; save it as"):
        decode(text.encode(encoding), "a.txt")


@pytest.mark.parametrize(
    "text", ["5 µm, größer", "Ёлка и café", "λόγος/логос", "oʻzbekcha", "ſtraße", "naïve—Ελλάδα"]
)
def test_words_of_several_writings_in_utf_8_are_read(text: str) -> None:
    assert decode(text.encode(), "a.txt") == text


def test_the_line_of_the_first_bad_byte_is_named() -> None:
    with pytest.raises(UserError, match=r"a\.yaml, line 3: byte 0xE9 is not UTF-8"):
        decode(b"prompt: a\nsteps: 4\n# caf\xe9 x\n", "a.yaml")


@pytest.mark.parametrize(
    "content",
    [
        b"prompt: a\0b",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\xff\xd8\xff\xe0\0\x10JFIF",
        "prompt: a".encode("utf-16-le"),  # no mark
        "prompt: a".encode("utf-32"),
        b"\x1b[31mred",
    ],
)
def test_binary_content_is_said_to_be_no_text(content: bytes) -> None:
    with pytest.raises(UserError, match="is no text"):
        decode(content, "a.yaml")


def test_damaged_utf_16_is_refused() -> None:
    with pytest.raises(UserError, match="damaged"):
        decode(b"\xff\xfea\0b", "a.txt")


def test_64_kib_are_read_and_one_byte_more_is_not() -> None:
    assert len(decode(b"a" * LIMIT_BYTES, "a.txt")) == LIMIT_BYTES
    with pytest.raises(UserError, match="longer than 64 KiB"):
        decode(b"a" * (LIMIT_BYTES + 1), "a.txt")


def test_line_ends_of_all_systems_become_one() -> None:
    assert decode(b"a\r\nb\rc\nd", "a.txt") == "a\nb\nc\nd"


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=70 * 1024))
def test_any_bytes_are_read_or_refused_with_advice(content: bytes) -> None:
    try:
        decode(content, "a.txt")
        found: tuple[Problem, ...] = ()
    except UserError as error:
        found = error.problems
    assert all(problem.advice for problem in found)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"])))
def test_every_utf_8_text_comes_back_as_it_is(text: str) -> None:
    assert decode(text.encode(), "a.txt") == text.lstrip("\ufeff")

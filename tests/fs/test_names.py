import itertools
import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.fs.names import (
    Kind,
    conversion,
    is_prose,
    kind_of,
    meant_name,
    numbered,
    pair_key,
    printable,
    result_names,
    stem_of,
)

IMAGES = ["a.jpg", "a.jpeg", "a.png", "a.webp", "a.tif", "a.tiff", "a.bmp", "A.JPG", "a.b.PnG"]
GOOD_NAMES = [
    "-rf.jpg",
    "a\nb.jpg",
    "👩‍👩‍👧.jpg",
    "\udce9.jpg",
    "a" * 251 + ".jpg",
    "e\u0301.jpg",
    " .jpg",
]
SIDECARS = ["a.yaml", "a.yml", "a.txt", "A.YAML", "a.jpg.Yml", "a.jpg.txt", "_preset.txt"]
PRESETS = ["_preset.yaml", "_preset.yml", "_PRESET.YAML"]
UNSUPPORTED = ["a.heic", "a.psd", "a.gif", "a.svg", "a.pdf", "a.raw", "README", "a.", "a.jpg.bak"]
HIDDEN = [
    *(
        ".a.jpg",
        "._a.jpg",
        ".DS_Store",
        ".a.jpg.Xy12Zw",
        ".nfs0001",
        ".fuse_hidden01",
        ".hotfolder",
    ),
    *(".smbdelete01", ".syncthing.a.jpg.tmp", ".goutputstream-1", ".~lock.a.jpg#", ".snapshot"),
    *("~$a.txt", "~syncthing~a.jpg.tmp", "a.jpg~", "Thumbs.db", "THUMBS.DB", "ehthumbs.db"),
    *("desktop.ini", "a.tmp", "a.temp", "a.jpg.part", "a.jpg.partial", "a.jpg.filepart", "a.PART"),
    *("a.jpg.crdownload", "a.jpg.download", "a.jpg.opdownload", "a.!ut", "a.bc!", "a.uploading"),
    *("a.unmanic.part", "a.swp", "a.jpg.lnk", "a.url", "Icon\r", "Icon\uf00d", "@eaDir"),
    *("#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", ".stfolder", ".stversions"),
    *(".~tmp~", ".rsync-partial", ".AppleDouble", ".AppleDB", ".TemporaryItems", ".Trashes"),
    *(".Trash-1000", ".Spotlight-V100", ".fseventsd", "lost+found", "__MACOSX", "$RECYCLE.BIN"),
    "System Volume Information",
]
KINDS = {
    **dict.fromkeys([*IMAGES, *GOOD_NAMES], Kind.IMAGE),
    **dict.fromkeys(SIDECARS, Kind.SIDECAR),
    **dict.fromkeys(PRESETS, Kind.PRESET),
    **dict.fromkeys(UNSUPPORTED, Kind.UNSUPPORTED),
    **dict.fromkeys(HIDDEN, Kind.HIDDEN),
    "_preset.yaml.txt": Kind.PRESET,
    "a.cancel.txt": Kind.CANCEL,
    "a.yml.txt": Kind.SIDECAR,
}

file_names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"])
    | st.sampled_from([chr(code) for code in range(0xDC80, 0xDD00)]),
    min_size=1,
    max_size=255,
).filter(lambda name: len(os.fsencode(name)) <= 250)


@pytest.mark.parametrize(("name", "kind"), KINDS.items(), ids=map(ascii, KINDS))
def test_a_name_says_what_a_file_is(name: str, kind: Kind) -> None:
    assert kind_of(name) is kind


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("a.yaml.txt", "a.yaml"), ("A.YML.Txt", "A.YML"), ("a.jpg.yaml.txt", "a.jpg.yaml")),
        *(("a.txt.txt", "a.txt"), ("a.yaml.yml", "a.yaml"), ("a.yaml.txt.txt", "a.yaml")),
        *(("_preset.yaml.txt", "_preset.yaml"), ("a.cancel.txt", "a.cancel")),
        *(("a.mask.png.PNG", "a.mask.png"), ("a.jpg.jpeg", "a.jpg"), ("a.tif.tif", "a.tif")),
        *(("a.jpg", "a.jpg"), ("a.jpg.txt", "a.jpg.txt"), ("a.jpg.png", "a.jpg.png")),
        *(("a.txt.yaml", "a.txt.yaml"), ("a.png.cancel", "a.png.cancel"), ("txt.txt", "txt.txt")),
    ],
)
def test_an_ending_too_many_is_no_part_of_what_was_meant(name: str, meant: str) -> None:
    assert meant_name(name) == meant
    assert meant_name(meant) == meant


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.HEIC", "a HEIC picture: save it as JPEG, PNG, WebP, TIFF or BMP"),
        ("a.psd", "a Photoshop document: export it flattened"),
        ("a.cr3", "a raw photo: develop it"),
        ("a.jfif", "rename it to end in .jpg"),
        ("README", "without an extension"),
        ("a.xyz", "a .xyz file, which is not read"),
        ("a.x\ny", r"a .x\ny file"),
    ],
)
def test_an_unsupported_file_is_told_what_to_become(name: str, words: str) -> None:
    assert words in conversion(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Photo", "photo"), ("\u00e9", "e\u0301"), ("STRASSE", "straße"), ("\udce9A", "\udce9a")],
)
def test_names_that_look_alike_pair(one: str, other: str) -> None:
    assert pair_key(one) == pair_key(other)


def test_different_letters_do_not_pair() -> None:
    assert len({pair_key(name) for name in ("e", "é", "è", "\udce9", "e.", "e ")}) == 6


def test_the_stem_ends_before_the_last_extension() -> None:
    assert [stem_of(name) for name in ("a.jpg", "a.jpg.txt", "a", "a.")] == [
        "a",
        "a.jpg",
        "a",
        "a",
    ]


def test_only_a_text_file_is_prose() -> None:
    assert [is_prose(name) for name in ("a.TXT", "a.yaml", "a.txt.yml")] == [True, False, False]


@pytest.mark.parametrize(
    ("stem", "seed", "expected"),
    [
        ("photo", None, ["photo.jpg", "photo_2.jpg", "photo_3.jpg"]),
        ("photo", 42, ["photo_s42.jpg", "photo_s42_2.jpg", "photo_s42_3.jpg"]),
        ("e\u0301", None, ["\u00e9.jpg", "\u00e9_2.jpg", "\u00e9_3.jpg"]),
        ("a\udce9", None, ["a%E9.jpg", "a%E9_2.jpg", "a%E9_3.jpg"]),
        ("-a\n", None, ["-a\n.jpg", "-a\n_2.jpg", "-a\n_3.jpg"]),
    ],
)
def test_results_take_the_next_free_number(
    stem: str, seed: int | None, expected: list[str]
) -> None:
    assert list(itertools.islice(result_names(stem, "jpg", seed), 3)) == expected


@pytest.mark.parametrize(
    ("stem", "kept"),
    [
        ("a" * 246, "a" * 246),  # with .jpg and the receipt's .json exactly 255 bytes
        ("a" * 247, "a" * 180),
        ("é" * 125, "é" * 90),
        ("a" + "é" * 125, "a" + "é" * 89),
        ("a" * 179 + "\udce9" * 60, "a" * 179),  # %E9 is not cut in two
    ],
)
def test_a_long_name_keeps_its_first_180_bytes(stem: str, kept: str) -> None:
    assert next(result_names(stem, "jpg", None)) == f"{kept}.jpg"


def test_a_name_is_shortened_only_for_the_suffix_that_needs_it() -> None:
    first, second = itertools.islice(result_names("a" * 245, "jpg", None), 2)
    assert (first, second) == (f"{'a' * 245}.jpg", f"{'a' * 180}_2.jpg")


@given(
    stem=file_names,
    extension=st.sampled_from(["jpg", "TIFF"]),
    seed=st.none() | st.integers(0, 2**63),
)
def test_every_result_with_its_receipt_has_a_name_that_any_disk_takes(
    stem: str, extension: str, seed: int | None
) -> None:
    names = list(itertools.islice(result_names(stem, extension, seed), 12))
    assert len(set(names)) == 12
    assert all(len(f"{name}.json".encode()) <= 255 for name in names)
    assert names[0] == unicodedata.normalize("NFC", names[0])


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("photo.jpg", "photo_2.jpg"),
        ("photo.jpg.yaml", "photo_2.jpg.yaml"),
        ("photo.v1.txt", "photo.v1_2.txt"),
        ("v1.2", "v1.2_2"),
        ("photo.webp.jpg", "photo_2.webp.jpg"),
        ("photo.yaml.txt", "photo_2.yaml.txt"),
        ("photo.jpg.yml.TXT", "photo_2.jpg.yml.TXT"),
        ("a" * 190 + ".jpg", "a" * 190 + "_2.jpg"),
        ("a" * 191 + ".jpg", "a" * 180 + "_2.jpg"),
        ("\udce9.jpg", "\udce9_2.jpg"),
    ],
)
def test_a_number_goes_before_the_extensions(name: str, second: str) -> None:
    assert list(itertools.islice(numbered(name), 2)) == [name, second]


@given(
    stem=file_names.map(lambda name: name[:200]),
    inner=st.sampled_from(["", ".webp", ".JPG.png", ".txt"]),
    extensions=st.sampled_from([(".jpg", ".yaml"), (".tiff", ".tiff.txt")]),
)
def test_an_image_and_its_sidecar_still_pair_after_numbering(
    stem: str, inner: str, extensions: tuple[str, str]
) -> None:
    image, sidecar = (f"{stem}{inner}{extension}" for extension in extensions)
    pairs = zip(numbered(image), numbered(sidecar), strict=False)
    for one, other in itertools.islice(pairs, 1, 3):
        assert one.removesuffix(extensions[0]) == other.removesuffix(extensions[1])
        assert max(len(os.fsencode(one)), len(os.fsencode(other))) <= 255


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("photo 1.jpg", "photo 1.jpg"),
        ("Ärger/海.jpg", "Ärger/海.jpg"),
        ("a\nb\r\x1b[2J", r"a\nb\r\x1b[2J"),
        ("caf\udce9.jpg", "caf%E9.jpg"),
        ("a\u2028b", r"a\u2028b"),
        ("gpj\u202efdp", r"gpj\u202efdp"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
    ],
)
def test_a_name_is_shown_on_one_line(name: str, shown: str) -> None:
    assert printable(name) == shown


@given(file_names)
def test_what_is_shown_can_be_written_anywhere_as_one_line(name: str) -> None:
    assert len(printable(name).encode().decode().splitlines()) <= 1

"""What a file name means in an inbox, and the names that we give; every name is a good one."""

from __future__ import annotations

import itertools
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

_SAVE = "save it as JPEG, PNG, WebP, TIFF or BMP"
_DEVELOP = "develop it to JPEG, PNG or TIFF"
_FLATTEN = "export it flattened as PNG or TIFF"
_STILL = "export one picture of it as PNG"
_WRITE_TEXT = "write what to do into a .txt or .yaml file"
_UNPACK = "unpack it, and drop what was in it"
_RENAME = "rename it to end in .jpg"

_FAMILIES: tuple[tuple[str, str, str], ...] = (
    (".heic .heics .heif .heifs .hif", "a HEIC picture", _SAVE),
    (".avif .avifs", "an AVIF picture", _SAVE),
    (".jxl", "a JPEG XL picture", _SAVE),
    (".jp2 .j2k .jpf .jpx", "a JPEG 2000 picture", _SAVE),
    (".jfif .jfi .jpe .jif .pjpeg .pjp", "a JPEG picture under another extension", _RENAME),
    (".gif", "a GIF", _SAVE),
    (".apng", "an animated PNG", _SAVE),
    (".ico .icns .cur", "an icon", _SAVE),
    (".tga .pcx .ppm .pgm .pbm .pnm .dds", "a picture in a format that is not read", _SAVE),
    (".exr .hdr .pfm", "a high dynamic range picture", "tone-map it to a JPEG, PNG or TIFF"),
    (".psd .psb", "a Photoshop document", _FLATTEN),
    (".xcf", "a GIMP document", _FLATTEN),
    (".kra .clip .afphoto .procreate", "a painting program's document", _FLATTEN),
    (".svg .svgz", "an SVG drawing", _STILL),
    (".ai .eps .ps .cdr .indd .sketch .fig", "a drawing program's document", _STILL),
    (".pdf", "a PDF document", _STILL),
    (".raw .dng .cr2 .cr3 .crw .nef .nrw .arw .srf .sr2 .orf .rw2 .raf", "a raw photo", _DEVELOP),
    (".pef .srw .x3f .3fr .fff .iiq .mrw .mos .kdc .dcr .erf .rwl", "a raw photo", _DEVELOP),
    (".mp4 .mov .m4v .avi .mkv .webm .mpg .mpeg .mts .wmv", "a video", _STILL),
    (
        ".doc .docx .odt .rtf .md .pages .json .toml .ini .csv",
        "no instruction that is read",
        _WRITE_TEXT,
    ),
    (".xmp .aae .thm", "a camera's or editor's side file", "nothing: it is not read"),
    (".zip .rar .7z .tar .gz .tgz .bz2 .xz", "an archive", _UNPACK),
)

_BY_EXTENSION: Mapping[str, str] = {
    extension: f"{what}: {advice}"
    for extensions, what, advice in _FAMILIES
    for extension in extensions.split()
}
_IMAGES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"))
_PROSE = ".txt"
_SIDECARS = frozenset((".yaml", ".yml", _PROSE))
_INNER = _IMAGES | _SIDECARS
_PRESETS = frozenset(("_preset.yaml", "_preset.yml"))
_CANCEL = ".cancel"
# Endings of one meaning. Where endings are hidden, one of them comes behind another, or .txt does.
_ALIKE = (
    *((".yaml", ".yml"), (".jpg", ".jpeg"), (".tif", ".tiff")),
    *((".png",), (".webp",), (".bmp",), (_PROSE,), (_CANCEL,)),
)
_DOUBLED = frozenset(
    (
        *((inner, outer) for alike in _ALIKE for inner in alike for outer in alike),
        *((inner, _PROSE) for inner in (".yaml", ".yml", _CANCEL)),
    )
)
# Names of copiers at work, of operating systems and of NAS servers; all in lower case.
_HIDDEN_STARTS = (".", "~$", "~syncthing~")
_HIDDEN_ENDS = (
    *("~", ".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download"),
    *(".opdownload", ".!ut", ".bc!", ".uploading", ".swp", ".lnk", ".url"),
)
_HIDDEN_NAMES = frozenset(
    (
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "icon\uf00d"),  # SMB has \r so
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "lost+found"),
        *("__macosx", "$recycle.bin", "system volume information"),
    )
)
# Controls, line ends, overrides of the writing direction, and bytes that are no UTF-8.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_LONGEST_BYTES = 255
_KEPT_BYTES = 180
_RECEIPT = ".json"
# A file and its sidecar are shortened together or not at all, so this goes by their stem alone.
_EXTENSIONS_BYTES = 60
_NUMBERED_STEM_BYTES = _LONGEST_BYTES - _EXTENSIONS_BYTES - len("_9999")


class Kind(StrEnum):
    """What a name says that a file is."""

    IMAGE = "picture"
    SIDECAR = "instruction"
    PRESET = "folder preset"
    CANCEL = "cancel file"
    UNSUPPORTED = "unsupported"
    HIDDEN = "hidden"  # never touched, never mentioned


def kind_of(name: str) -> Kind:
    """Say what a base name stands for, in any case of letters; holds for folders too."""
    lower = name.lower()
    if is_hidden(lower):
        return Kind.HIDDEN
    meant = meant_name(lower)
    extension = _split(meant)[1]
    if extension in _IMAGES:
        return Kind.IMAGE
    if meant in _PRESETS:
        return Kind.PRESET
    if extension == _CANCEL:
        return Kind.CANCEL
    return Kind.SIDECAR if extension in _SIDECARS else Kind.UNSUPPORTED


def is_hidden(name: str) -> bool:
    """Whether a file or a folder of this name is somebody else's business or still on its way."""
    lower = name.lower()
    return (
        lower.startswith(_HIDDEN_STARTS) or lower.endswith(_HIDDEN_ENDS) or lower in _HIDDEN_NAMES
    )


def meant_name(name: str) -> str:
    """The name without an ending too many: photo.yaml for photo.yaml.txt, a.png for a.png.png.

    Windows hides the last ending of a name, and whoever writes a whole name there gets another
    one behind it. Only where nothing else can be meant; else it is the name itself.
    """
    while name.count(".") > 1:
        stem, outer = _split(name)
        if (_split(stem)[1].lower(), outer.lower()) not in _DOUBLED:
            break
        name = stem
    return name


def is_base_name(name: str) -> bool:
    """Whether it names something in a folder, and leads nowhere else."""
    return name not in ("", ".", "..") and "/" not in name and _can_be_a_name(name)


def _can_be_a_name(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # half a character, which JSON can say and no file system
        return False


def is_path_below(path: str) -> bool:
    """Whether it is a relative path that leads nowhere but down; "" is the folder itself."""
    return not path or all(map(is_base_name, path.split("/")))


def conversion(name: str) -> str:
    """Say what an unsupported file is and what to do if it was meant as input."""
    extension = _split(name.lower())[1]
    if not extension:
        return "a file without an extension: let its name end in what it is, such as .jpg or .yaml"
    unknown = f"a {extension} file, which is not read: {_SAVE} if it is a picture"
    return printable(_BY_EXTENSION.get(extension, unknown))


def stem_of(name: str) -> str:
    """A name without its last extension."""
    return _split(name)[0]


def is_prose(name: str) -> bool:
    """Whether a sidecar is a bare prompt, which any sidecar with keys goes before."""
    return name.lower().endswith(_PROSE)


def pair_key(text: str) -> str:
    """Names, or stems, with equal keys are one name to people: NFC, then casefolded."""
    return text.casefold() if text.isascii() else unicodedata.normalize("NFC", text).casefold()


def printable(name: str) -> str:
    r"""A name or path as one line: bytes that are no UTF-8 as %XX, controls as \n or \x1b."""
    return name if name.isprintable() else _UNPRINTABLE.sub(_shown, name)


def result_names(stem: str, extension: str, seed: int | None) -> Iterator[str]:
    """The names that a result may have, best first, without end; `seed` tells variants apart.

    NFC, bytes that are no UTF-8 as %XX; a name with its receipt's `.json` fits in 255 bytes.
    `extension` comes without its dot.
    """
    characters = [_percent(it) for it in unicodedata.normalize("NFC", stem)]
    whole = "".join(characters)
    for number in _numbers():
        suffix = f"{'' if seed is None else f'_s{seed}'}{number}.{extension}"
        fits = _bytes_in(f"{whole}{suffix}{_RECEIPT}") <= _LONGEST_BYTES
        yield f"{whole if fits else _beginning(characters)}{suffix}"


def numbered(name: str) -> Iterator[str]:
    """The name itself, then with _2, _3 … before its extensions, without end.

    An image and its sidecar still belong together where both have the same number.
    """
    stem, extension = _without_extensions(name)
    short = stem if _bytes_in(stem) <= _NUMBERED_STEM_BYTES else _beginning(stem)
    return (f"{short}{number}{extension}" if number else name for number in _numbers())


def stem_without_extensions(name: str) -> str:
    """What comes before the extensions of a picture and its sidecar: "a" of "a.webp.yaml"."""
    return _without_extensions(name)[0]


def _without_extensions(name: str) -> tuple[str, str]:
    # All of them: a.webp.yaml goes with a.webp as well as with a.webp.jpg, a.yaml.txt with a.jpg.
    stem, extensions = _split(name)
    if extensions.lower() not in _SIDECARS | _IMAGES:
        return name, ""
    inner_stem, inner = _split(stem)
    while inner.lower() in _INNER and len(inner + extensions) <= _EXTENSIONS_BYTES:
        stem, extensions = inner_stem, inner + extensions
        inner_stem, inner = _split(stem)
    return stem, extensions


def _split(name: str) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    return (stem, dot + extension) if dot else (name, "")


def _numbers() -> Iterator[str]:
    return itertools.chain([""], (f"_{number}" for number in itertools.count(2)))


def _beginning(characters: Sequence[str]) -> str:
    ends = itertools.accumulate(map(_bytes_in, characters), initial=0)
    pairs = zip(characters, itertools.islice(ends, 1, None), strict=True)
    return "".join(character for character, end in pairs if end <= _KEPT_BYTES)


def _bytes_in(text: str) -> int:
    return len(os.fsencode(text))


def _percent(character: str) -> str:
    code = ord(character)
    return f"%{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else character


def _shown(match: re.Match[str]) -> str:
    percent = _percent(match[0])
    return percent if percent != match[0] else match[0].encode("unicode_escape").decode("ascii")

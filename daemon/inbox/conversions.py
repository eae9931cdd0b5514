"""What to do with a file whose name says that it is no picture we edit and no instruction."""

from __future__ import annotations

from collections.abc import Mapping

_SAVE = "save it as JPEG, PNG, WebP, TIFF or BMP"
_DEVELOP = "develop it to JPEG, PNG or TIFF"
_FLATTEN = "export it flattened as PNG or TIFF"
_STILL = "export one picture of it as PNG"
_PROSE = "write what to do into a .txt or .yaml file"
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
        _PROSE,
    ),
    (".xmp .aae .thm", "a camera's or editor's side file", "nothing: it is not read"),
    (".zip .rar .7z .tar .gz .tgz .bz2 .xz", "an archive", _UNPACK),
)

_BY_EXTENSION: Mapping[str, str] = {
    extension: f"{what}: {advice}"
    for extensions, what, advice in _FAMILIES
    for extension in extensions.split()
}


def advice_on(extension: str) -> str:
    """Say what such a file is and what to make of it.

    `extension` is in lower case and has its dot; it is empty where the name has none.
    """
    if not extension:
        return "a file without an extension: let its name end in what it is, such as .jpg or .yaml"
    unknown = f"a {extension} file, which is not read: {_SAVE} if it is a picture"
    return _BY_EXTENSION.get(extension, unknown)

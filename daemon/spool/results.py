"""A result and its receipt, as they lie in the outbox, in review or in failed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config import codec
from config.problems import Problem, UserError
from daemon.fs.names import is_hidden, is_path_below, pair_key, printable
from daemon.fs.safe_tree import SafeTree
from daemon.spool.receipts import PREVIEW_SUFFIX, preview_name

AREAS = ("outbox", "review", "failed")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(_[0-9]+)?")
_NUMBER = re.compile(r"_[0-9]+(?=(\.[^.]*)?$)")  # that a second file of a name gets


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a receipt says of the result beside it."""

    path: str  # relative to the root
    receipt: Mapping[str, object]
    job_id: str
    sha256: str
    picture: str  # the original's name, as people read it
    picture_sha256: str
    status: str
    preview_sha256: str | None

    @property
    def name(self) -> str:
        """Its name without its folder."""
        return self.path.rpartition("/")[2]

    @property
    def area(self) -> str:
        """The folder of the hot folder that it lies in."""
        return self.path.partition("/")[0]

    @property
    def folder(self) -> str:
        """The subfolder of the inbox that its original came from."""
        if self.area == "failed":
            came_from = codec.at(str | None, self.receipt, "rejected", "result") or ""
            return str(came_from).partition("/")[2].rpartition("/")[0]
        return self.path.partition("/")[2].rpartition("/")[0]

    @property
    def preview(self) -> str | None:
        """The path of the preview beside it, where it has one."""
        name = preview_name(self.name)
        return None if self.preview_sha256 is None or name is None else beside(self.path, name)


def beside(path: str, name: str) -> str:
    """The path of another file in the folder of one."""
    return os.path.join(os.path.dirname(path), name)  # noqa: PTH118, PTH120 - names of any bytes


def result_named(path: str) -> str:
    """The path of the result that a receipt or a preview belongs to; itself for a result."""
    for suffix in (f"{PREVIEW_SUFFIX}.json", ".json", PREVIEW_SUFFIX):
        if path.endswith(suffix):
            return path.removesuffix(suffix)
    return path


def read_result(tree: SafeTree, path: str) -> Result:
    """The result at a path relative to the root; raises UserError where it is none of ours."""
    shown, parts = printable(path), path.split("/")
    is_there = is_path_below(path) and len(parts) > 1 and parts[0] in AREAS
    if not is_there or any(map(is_hidden, parts)):
        raise UserError([Problem(shown, "is no result", "name a file in outbox/ or review/")])
    try:
        said = codec.parse(tree.read(tree.root / f"{path}.json"))
        return Result(
            path=path,
            receipt=codec.at(Mapping[str, object], said),
            job_id=codec.at(str, said, "job_id"),
            sha256=codec.at(str, said, "output", "sha256"),
            picture=codec.at(str, said, "input", "name"),
            picture_sha256=codec.at(str, said, "input", "sha256"),
            status=codec.at(str, said, "status"),
            preview_sha256=codec.at(str | None, said, "preview", "sha256"),
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        advice = "a result has its receipt beside it: name one that has"
        raise UserError([Problem(shown, "has no receipt", advice)]) from error
    except ValueError as error:
        advice = "drop the original again with an instruction; it is in done/"
        raise UserError([Problem(f"{shown}.json", "is damaged", advice)]) from error


def original_of(tree: SafeTree, result: Result) -> Path:
    """Where the picture that a result was made of lies; raises UserError where it does not."""
    changed: list[Path] = []
    for path in _named(tree, result.folder, result.picture):
        if tree.sha256_of(path) == result.picture_sha256:
            return path
        changed.append(path)
    shown = printable(result.picture)
    advice = "drop the picture again with an instruction"
    if changed:
        where = printable(str(changed[0].relative_to(tree.root)))
        what = f"its original {shown} was changed since: {where} is another picture now"
        raise UserError([Problem(printable(result.path), what, advice)])
    what = f"its original {shown} is not in done/ any more: it was deleted or moved away"
    raise UserError([Problem(printable(result.path), what, advice)])


def first_name(stored: str, picture: str) -> str:
    """The name that a stored original had in the inbox, by the name in its receipt."""
    first = _NUMBER.sub("", stored)
    is_numbered = printable(stored) != picture and pair_key(printable(first)) == pair_key(picture)
    return first if is_numbered else stored


def reference_of(tree: SafeTree, result: Result, name: str) -> Path:
    """Where a reference or the mask of a result lies; raises UserError where nobody can say."""
    said = codec.at(Mapping[str, str] | None, result.receipt, "references") or {}
    found: dict[str, Path] = {}
    for path in _named(tree, result.folder, printable(name)):
        found.setdefault(tree.sha256_of(path), path)
    if name in said:
        found = {sha256: path for sha256, path in found.items() if sha256 == said[name]}
    if len(found) == 1:
        return next(iter(found.values()))
    shown, advice = printable(name), "drop the picture again with its references"
    if not found:
        what = f"its reference {shown} is not in done/ any more, or was changed"
    else:
        places = ", ".join(printable(str(it.relative_to(tree.root))) for it in found.values())
        what = f"which of these was its reference {shown}, nobody can say: {places}"
    raise UserError([Problem(printable(result.path), what, advice)])


def _named(tree: SafeTree, folder: str, name: str) -> Iterator[Path]:
    """The files of done/ and the inbox that had a name in a folder, the newest days first."""
    wanted = pair_key(name)
    for place in _places(tree, folder):
        try:
            there = tree.names(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for it in there:
            shown = pair_key(printable(it))
            if wanted in (shown, _NUMBER.sub("", shown)) and _is_file(tree, place / it):
                yield place / it


def _places(tree: SafeTree, folder: str) -> Iterator[Path]:
    """Where files of a folder of the inbox are filed: below a day, or higher up where need was."""
    yield tree.root / "inbox" / folder
    days = [it for it in tree.names(tree.root / "done") if _DAY.fullmatch(it)]
    for day in reversed(days):
        place = top = tree.root / "done" / day
        yield place / folder
        for above in (place / folder).parents if folder else ():
            yield above
            if above == top:
                break


def _is_file(tree: SafeTree, path: Path) -> bool:
    try:
        tree.open(path).close()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    return True

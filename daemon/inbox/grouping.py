"""One folder of the inbox: which of its files belong together by their names alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from daemon.fs.names import Kind, is_prose, kind_of, pair_key, stem_of
from daemon.job import Seen

Group = tuple[Seen, ...]
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileGroups:
    """The files of one folder, sorted by what they are to each other."""

    path: str  # "" for the inbox itself
    images: Group
    sidecars: Group
    presets: Group
    unsupported: Group
    cancels: Group
    sidecars_of: Mapping[str, Group]  # image path -> its sidecar; several: none is the better one
    images_of: Mapping[str, Group]  # sidecar path -> the images that it serves
    outranked: Mapping[str, Seen]  # sidecar path -> the sidecar that goes before it
    _by_name: Mapping[str, Group]

    def images_named(self, name: str) -> Group:
        """The images that somebody who writes `name` may mean; one that is spelled so is it."""
        alike = self._by_name.get(pair_key(name), ())
        exact = tuple(image for image in alike if image.name == name)
        return exact or alike

    def lone_images(self) -> Iterator[Seen]:
        """The images that have no sidecar."""
        return (image for image in self.images if not self.sidecars_of[image.path])


def group_files(files: Iterable[Seen]) -> Iterator[FileGroups]:
    """Sort files into their folders, parents before what lies below them."""
    folders: dict[str, list[Seen]] = defaultdict(list)
    for file in files:
        folders[file.path.rpartition("/")[0]].append(file)
    for path in sorted(folders):
        yield _folder(path, folders[path])


def _folder(path: str, files: Sequence[Seen]) -> FileGroups:
    kinds: dict[Kind, list[Seen]] = {kind: [] for kind in Kind}
    for file in files:
        kinds[kind_of(file.name)].append(file)
    images, sidecars = kinds[Kind.IMAGE], kinds[Kind.SIDECAR]
    named = _grouped(
        ((is_prose(file.name), pair_key(stem_of(file.name))), file) for file in sidecars
    )
    by_name = _grouped((pair_key(image.name), image) for image in images)
    ranked = {
        image.path: [
            _own(image, rank) if len(by_name[pair_key(image.name)]) > 1 else rank
            for rank in _ranks(image, named)
        ]
        for image in images
    }
    return FileGroups(
        path=path,
        images=tuple(images),
        sidecars=tuple(sidecars),
        presets=tuple(kinds[Kind.PRESET]),
        unsupported=tuple(kinds[Kind.UNSUPPORTED]),
        cancels=tuple(kinds[Kind.CANCEL]),
        sidecars_of={image: found[0] if found else () for image, found in ranked.items()},
        images_of=_served(images, ranked),
        outranked={
            worse.path: found[0][0]
            for found in ranked.values()
            for rank in found[1:]
            for worse in rank
        },
        _by_name=by_name,
    )


def _ranks(image: Seen, named: Mapping[tuple[bool, str], Group]) -> list[Group]:
    """The sidecars of an image, the best rank first; each rank has at least one.

    Keys go before bare prompts, and the full name before the stem.
    """
    names = (pair_key(image.name), pair_key(stem_of(image.name)))
    ranks = (named.get((is_bare, name)) for is_bare in (False, True) for name in names)
    return [rank for rank in ranks if rank]


def _own(twin: Seen, rank: Group) -> Group:
    """The sidecars of an image that has a twin: the one that is spelled so is its own."""
    spellings = (twin.name, stem_of(twin.name))
    exact = tuple(sidecar for sidecar in rank if stem_of(sidecar.name) in spellings)
    return exact or rank


def _served(images: Iterable[Seen], ranked: Mapping[str, list[Group]]) -> Mapping[str, Group]:
    return _grouped(
        (sidecar.path, image)
        for image in images
        for rank in ranked[image.path][:1]
        for sidecar in rank
    )


def _grouped(pairs: Iterable[tuple[_Key, Seen]]) -> Mapping[_Key, Group]:
    groups: dict[_Key, Group] = {}
    for key, file in pairs:
        groups[key] = (*groups.get(key, ()), file)
    return groups

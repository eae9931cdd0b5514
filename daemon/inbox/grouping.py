"""One folder of the inbox: which of its files belong together by their names alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from daemon.fs.names import Kind, is_prose, kind_of, meant_name, pair_key, stem_of
from daemon.job import Seen

Group = tuple[Seen, ...]
_Key = TypeVar("_Key")
_SidecarKey = tuple[bool, bool, str]  # a bare prompt, misnamed, and for whom
_KINDS = ((False, False), (False, True), (True, False), (True, True))  # the best first


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
    # Paths of files with an ending too many -> the names that they stand for; of images as far
    # as their instruction goes by that.
    read_as: Mapping[str, str]
    _by_name: Mapping[str, Group]
    _by_meant_name: Mapping[str, Group]  # the images with an ending too many

    def images_named(self, name: str) -> Group:
        """The images that somebody who writes `name` may mean; one that is spelled so is it."""
        alike = self._by_name.get(pair_key(name), ())
        exact = tuple(image for image in alike if image.name == name)
        return exact or alike or self._by_meant_name.get(pair_key(name), ())

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


def misnamed(files: Sequence[Seen]) -> frozenset[Seen]:
    """The sidecars that are read as another name says, of a whole listing.

    Not those that are named as they should for an image: a.yaml.txt is the prompt of a.yaml.jpg.
    """
    return _misnamed_among([file for file in files if _has_doubled_ending(file)], files)


def _misnamed_among(doubled: Sequence[Seen], files: Iterable[Seen]) -> frozenset[Seen]:
    if not doubled:  # as nearly always, and ten thousand files are soon looked through
        return frozenset()
    names = {
        (image.folder, name)
        for image in files
        if kind_of(image.name) is Kind.IMAGE
        for name in _names_of(image)
    }
    return frozenset(
        file
        for file in doubled
        if kind_of(file.name) is Kind.SIDECAR
        and (file.folder, pair_key(stem_of(file.name))) not in names
    )


def is_named_for(sidecar: str, image: str) -> bool:
    """Whether a sidecar has the name that one of this image should have; base names."""
    return pair_key(stem_of(sidecar)) in (pair_key(image), pair_key(stem_of(image)))


def _folder(path: str, files: Sequence[Seen]) -> FileGroups:
    kinds: dict[Kind, list[Seen]] = {kind: [] for kind in Kind}
    for file in files:
        kinds[kind_of(file.name)].append(file)
    images, sidecars = kinds[Kind.IMAGE], kinds[Kind.SIDECAR]
    doubled = [file for file in files if _has_doubled_ending(file)]
    wrong = _misnamed_among(doubled, files)
    named = _grouped((_sidecar_key(file, is_misnamed=file in wrong), file) for file in sidecars)
    kinds_named = _KINDS if wrong else _KINDS[:1] + _KINDS[2:3]
    by_name = _grouped((pair_key(image.name), image) for image in images)
    further = _further_names(images) if doubled else {}
    ranked = {
        image.path: [
            _own(image, rank) if len(by_name[pair_key(image.name)]) > 1 else rank
            for rank in _ranks(
                (*_names_of(image), *further.get(image.path, ())), named, kinds_named
            )
        ]
        for image in images
    }
    by_meant_name = [
        image
        for image in (images if further else ())
        if image.path in further
        and (ranks := ranked[image.path])
        and ranks[0] not in _ranks(_names_of(image), named, kinds_named)
    ]
    read_otherwise = (*wrong, *by_meant_name, *kinds[Kind.PRESET], *kinds[Kind.CANCEL])
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
        read_as={
            file.path: meant_name(file.name)
            for file in (read_otherwise if doubled else ())
            if _has_doubled_ending(file)
        },
        _by_name=by_name,
        _by_meant_name=_grouped(
            (pair_key(meant_name(image.name)), image)
            for image in (images if doubled else ())
            if _has_doubled_ending(image)
        ),
    )


def _sidecar_key(sidecar: Seen, *, is_misnamed: bool) -> _SidecarKey:
    name = meant_name(sidecar.name) if is_misnamed else sidecar.name
    return (is_prose(name), is_misnamed, pair_key(stem_of(name)))


def _further_names(images: Iterable[Seen]) -> Mapping[str, tuple[str, ...]]:
    """Under which names images with an ending too many go, too: those that no other one has."""
    doubled = [image for image in images if _has_doubled_ending(image)]
    others = {name for image in images if image not in doubled for name in _names_of(image)}
    names = {image.path: pair_key(stem_of(meant_name(image.name))) for image in doubled}
    return {path: (name,) for path, name in names.items() if name not in others}


def _ranks(
    names: Sequence[str],
    named: Mapping[_SidecarKey, Group],
    kinds: Sequence[tuple[bool, bool]],
) -> list[Group]:
    """The sidecars for these names, the best rank first; each rank has at least one.

    Keys go before bare prompts, what is rightly named before what is not, and the full name
    before the stem.
    """
    ranks = [named.get((*kind, name)) for kind in kinds for name in names]
    return [rank for rank in ranks if rank]


def _names_of(image: Seen) -> tuple[str, ...]:
    return (pair_key(image.name), pair_key(stem_of(image.name)))


def _own(twin: Seen, rank: Group) -> Group:
    """The sidecars of an image that has a twin: the one that is spelled so is its own."""
    spellings = {twin.name, stem_of(twin.name)}
    exact = tuple(
        sidecar
        for sidecar in rank
        if spellings & {stem_of(sidecar.name), stem_of(meant_name(sidecar.name))}
    )
    return exact or rank


def _has_doubled_ending(file: Seen) -> bool:
    return file.path.count(".") > 1 and meant_name(file.name) != file.name


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

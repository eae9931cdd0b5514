"""The numbers of the documents are those of the committed results, row by row."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from told import percent, result, row, untold, written_rows

FIDELITY, SMALL = "docs/fidelity.md", "models/small/README.md"
WAYS = (
    *("Hotfolder", "plain upscale", "Laplacian transfer", "guided filter"),
    *("unaligned difference mask", "seamlessClone"),
)
MAPS = {
    "relight": "light from one side",
    "local light": "a local light",
    "relight and a new thing": "light from one side and a new thing",
    "style": "another style, not mapped",
}
TEXTURED = "textured"  # of the drawn backgrounds, the kind that still fails


def two_digits(number: float) -> str:
    """A size with two digits that say something."""
    return f"{number:.2f}" if number < 1 else f"{number:.1f}"


# docs/fidelity.md


def floors() -> Iterator[str]:
    """What is promised of drawn cases."""
    of = result("fidelity")["restoring"]["floors"]
    names = (
        *("untouched pixels identical, mild drift", "untouched region, mild drift"),
        *("untouched region, bad drift", "mask of local edits, intersection over union"),
        *("edited region against a plain upscale", "the same as SSIM"),
        *("old content that is gone from the edit", "edits of the whole picture recognised"),
        "local edits not mistaken for whole ones",
    )
    asked = ("99 %", "55 dB", "40 dB", "0.9", "−0.3 dB", "−0.01", "90 %", "95 %", "98 %")
    worst = (
        percent(of[0]["worst"], 2),
        *(f"{it['worst']:.1f} dB" for it in of[1:3]),
        f"{of[3]['worst']:.3f}",
        f"{of[4]['worst']:+.2f} dB",
        f"{of[5]['worst']:.4f}".replace("-", "−"),
        percent(of[6]["worst"]),
        *("", ""),
    )
    for name, floor, it, least in zip(names, asked, of[: len(names)], worst, strict=True):
        kept = it["kept_by"] if "kept_by" in it else it["share"]
        yield row(name, floor, it["cases"], percent(kept, 1), least)


def ways() -> Iterator[str]:
    """Medians beside other ways back."""
    of = {
        (it["edits"], it["drift"]): it["medians"] for it in result("fidelity")["restoring"]["ways"]
    }
    for way in WAYS:
        local, background = of["local", "bad"][way], of["background", "bad"][way]
        numbers = (it[name] for it in (local, background) for name in ("kept_db", "edited_db"))
        yield row(way, *(f"{number:.1f} dB" for number in numbers))


def maps() -> Iterator[str]:
    """Edits of the whole picture against the ideal."""
    for it in result("fidelity")["mapping"]["edits"]:
        cells = (f"{it['db'][way]:.1f} dB, {it['ssim'][way]:.3f}" for way in it["db"])
        yield row(MAPS.get(it["edit"], it["edit"]), *cells)


def real_drift() -> Iterator[str]:
    """What is promised under drift as real models have it."""
    of = result("fidelity")["restoring"]["floors"]
    pairs = list(zip(of[9:14], of[14:19], strict=True))
    promises = (
        ("share of the picture that shows the edit where nothing was edited, mean", "at most 4 %"),
        ("of what clearly changed, the share that does not show, mean", "at most 1 %"),
        ("pixels where the edit does not show identical, cases", "99.9 %"),
        ("edits of the whole picture recognised", "95 %"),
        ("local edits not mistaken for whole ones", "98 %"),
    )
    for (name, goal), both in zip(promises, pairs, strict=True):
        yield row(name, goal, *map(_share, both))


def _share(floor: Mapping[str, Any]) -> str:
    if "mean" in floor:
        return f"{100 * floor['mean']:.2f} %"
    return percent(floor["kept_by"] if "kept_by" in floor else floor["share"], 1)


def real_edits() -> Iterator[str]:
    """Pairs of real models."""
    of = result("real_edits")["summary"]
    local, whole = of["local"], of["whole"]
    yield row("taken for an edit of the whole picture", local["whole"], 1)
    outside = "leak: share of the picture that shows the edit outside the boxes, mean"
    yield row(outside, f"{local['leak']:.3f}", 0.04)
    inside = "missed: of what clearly differs inside the boxes, the share that does not show, mean"
    yield row(inside, f"{local['missed']:.3f}", 0.01)
    border = "step: levels between original and edit along the border of what shows, mean"
    yield row(border, f"{local['step']:.2f}", 8.5)
    yield row(f"{whole['pairs']} edits of the whole picture, recognised", whole["whole"], 7)


def backgrounds() -> Iterator[str]:
    """New backgrounds."""
    model, drawn = (result("backgrounds")[name] for name in ("model", "drawn"))
    edits = f"{model['edits']} changes of a background by the small model"
    yield row(f"{edits} (1600×1200 seen at 288×216): local", model["local"])
    identical = percent(model["mean"]["inner_identical"])
    yield row("… the subjects' inner pixels identical, mean", identical)
    yield row("… fringe", f"{model['mean']['fringe']:.1f}")
    exchanges = (
        f"{drawn['edits']} ideal exchanges (hair, fur, soft outlines, glass, handles; 2.5 and"
    )
    yield row(f"{exchanges} 4 times smaller): fringe", f"{drawn['mean']['fringe']:.1f}")
    fringes = [
        it["fringe"]
        for it in drawn["rows"]
        if it["name"].startswith(("hair", "fur", "handles")) and TEXTURED not in it["name"]
    ]
    grounds = "… hair, fur and handles before light, dark and graded grounds: fringe"
    yield row(grounds, f"{sum(fringes) / len(fringes):.1f}")


def costs() -> Iterator[str]:
    """What composing costs."""
    of = {
        (it["width"], it["edit"], it["bits"]): it for it in result("fidelity")["composing"]["rows"]
    }
    for width, height in ((1024, 1024), (6000, 4000), (8192, 8192)):
        local, whole = of[width, "paste", 8], of[width, "relight", 8]
        seconds = (f"{it['seconds']:.1f} s" for it in (local, whole))
        deep = of[width, "paste", 16]
        memory = (f"{two_digits(it['peak_rss_gib'])} GiB" for it in (local, deep))
        yield row(f"{width}×{height}", *seconds, *memory)


def told_of_fidelity() -> Iterator[str]:
    """Numbers in sentences."""
    of = result("fidelity")
    without = of["restoring"]["without_evidence_for_an_alignment"]
    likeness = without["untouched_region_db"]
    yield f"apart: {without['cases']} of these and of those below"
    yield f"from {likeness[0]:.0f} to {likeness[-1]:.0f} dB"
    gain, ssim = of["mapping"]["floors"][:2]
    yield f"In all {gain['cases']} maps the gain over a plain upscale is {gain['worst']:.1f} dB or"
    yield f"more, SSIM {ssim['worst']:.3f} or more"
    yield f"at full size, {of['mapping']['cases']} cases"
    removing = of["removing"]
    yield f"{len(removing['rows'])} held-out jobs"
    middle, tenth = removing["median_outline"], removing["worst_tenth_outline"]
    yield f"Median {middle:.1f} levels of 255, a tenth above {tenth:.1f}"
    deep = [it for it in of["composing"]["rows"] if (it["width"], it["bits"]) == (8192, 16)]
    (seconds,) = {f"{it['seconds']:.1f}" for it in deep}
    yield f"At 16 bits both edits of 8192×8192 take {seconds} s"
    yield from told_of_saving(of["encoding"]["rows"])
    yield f"{len(result('real_edits')['pairs'])} pairs of a picture and what a model made of it"
    worst = min(it["inner_identical"] for it in result("backgrounds")["model"]["rows"])
    yield f"keeps {percent(worst)} of its inner pixels"


def told_of_saving(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What saving costs."""
    of = {(it["format"], *it["settings"].values()): it for it in rows}
    best, ours = of["PNG", 6], of["PNG", 3]
    more = percent(ours["mib"] / best["mib"] - 1)
    yield f"PNG takes {best['cpu_seconds']:.0f} s of CPU at Pillow's own level 6"
    yield f"{ours['cpu_seconds']:.1f} s at level 3 for {more} more bytes"
    once, webp = of["JPEG", 95, "4:4:4"], of["WEBP", True, 0, 0]
    jpeg, progressive = (of["JPEG", 95, "4:4:4", *passes] for passes in ((True,), (True, True)))
    less = [percent(1 - it["mib"] / once["mib"]) for it in (jpeg, progressive)]
    more_seconds = jpeg["cpu_seconds"] - once["cpu_seconds"]
    yield f"Huffman tables of its own: {less[0]} fewer bytes for {more_seconds:.1f} s"
    yield f"progressive: {progressive['cpu_seconds']:.1f} s, {less[1]} fewer bytes than in one"
    tiff = of["TIFF", "tiff_adobe_deflate"]
    yield f"JPEG takes {jpeg['cpu_seconds']:.1f} s, lossless WebP {webp['cpu_seconds']:.1f} s"
    yield f"deflated TIFF {tiff['cpu_seconds']:.1f} s"


# models/small/README.md, docs/operations.md


def small_model() -> Iterator[str]:
    """The scores of the small model."""
    of = result("small_model")
    kinds = of["followed_by_kind"]
    yield row("followed, all", percent(of["followed"]))
    languages = " / ".join(percent(of["followed_by_language"][it]) for it in ("en", "zh"))
    yield row("English / Chinese", languages)
    yield row("colour of picture 2", percent(kinds["colour of picture 2"]))
    (both,) = {percent(kinds["remove"]), percent(kinds["replace"])}
    yield row("remove a thing, replace a thing", f"{both} each")
    others = {
        percent(share)
        for name, share in kinds.items()
        if name not in ("remove", "replace", "colour of picture 2")
    }
    yield row("every other kind", *others)
    yield row("clean, all", percent(of["clean"]))
    several = of["clean_of_one_among_several_things"]
    name = f"clean, where one of several things is to change ({several['edits']} edits)"
    yield row(name, percent(several["share"]))
    kept = f"{of['untouched_median_psnr_db']:.1f} dB"
    yield row("untouched region, before composition, median", kept)
    yield row("pictures in which it reaches 30 dB", percent(of["untouched_at_least_30_db"]))
    world, busy = (of["autoencoder_median_psnr_db"][it] for it in ("world", "busy"))
    name = "VAE, there and back: the world / crowded pictures, median"
    yield row(name, f"{world:.1f} dB / {busy:.1f} dB")
    graded = list(of["photographs"].values())
    followed = f"{sum(it[0] for it in graded)} of {len(graded)}"
    least, most = min(it[1] for it in graded), max(it[1] for it in graded)
    name = "global edits of six photographs: followed"
    yield row(name, f"{followed}, {least:.0f} to {most:.0f} dB from what was asked for")
    seconds = of["seconds_an_edit_alone"]["median"]
    yield row("one edit at 256 x 256, alone, on two cores", f"{seconds:.2f} s")


def service() -> Iterator[str]:
    """What the service takes."""
    of = result("service")["results"]

    def both(name: str, digits: int, least: str = "", median: str = "") -> str:
        numbers = of[name]
        first, second = (f"{numbers[it]:.{digits}f} s" for it in ("least", "median"))
        return f"{first}{least}, {second}{median}"

    yield row("exposure, `systemd-analyze security`, of 10", of["exposure_of_10"])
    named = both("echo_start_to_ready_seconds", 1, " (least)", " (median)")
    yield row("start to READY, echo editor", named)
    yield row("start to READY, tiny model on the CPU", both("tiny_start_to_ready_seconds", 1))
    yield row("stop, echo editor", both("echo_stop_seconds", 2))
    yield row("stop, tiny model", both("tiny_stop_seconds", 2))
    memory = {f"{of[f'{it}_daemon_rss_mib']['median']:.0f} MiB" for it in ("echo", "tiny")}
    yield row("memory of the daemon (RSS)", *memory)


TABLES = [
    (FIDELITY, "| Promise | Floor | Cases | Kept by | Worst |", floors),
    (FIDELITY, "| Way | Local: untouched | edited | Background: untouched | edited |", ways),
    (
        FIDELITY,
        "| Edit | Hotfolder | Plain upscale | Contrast of brightness, as it was before |",
        maps,
    ),
    (FIDELITY, "| Promise | Goal | `real` | `real, bad` |", real_drift),
    (FIDELITY, "| 21 edits of a part | | Goal |", real_edits),
    (FIDELITY, "| New backgrounds | |", backgrounds),
    (
        FIDELITY,
        "| Picture | Local edit | Edit of all of it | Peak memory, 8 bits | 16 bits |",
        costs,
    ),
    (SMALL, "| | |", small_model),
    ("docs/operations.md", "| What | Measured |", service),
]


@pytest.mark.parametrize(
    ("document", "head", "rows"), TABLES, ids=[f"{it[0]}: {it[2].__name__}" for it in TABLES]
)
def test_a_table_has_exactly_the_numbers_that_were_measured(
    document: str, head: str, rows: Any
) -> None:
    assert written_rows(document, head) == list(rows())


def test_sentences_have_the_numbers_that_were_measured() -> None:
    assert untold(FIDELITY, told_of_fidelity()) == []

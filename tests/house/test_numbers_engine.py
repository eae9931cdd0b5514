"""The numbers of docs/engine.md are those of the committed results, or follow from a formula."""

from collections.abc import Iterator, Mapping
from typing import Any

import published
from told import fixed, result, row, untold, written_rows

ENGINE = "docs/engine.md"


def run(part: str, mode: str, *, cfg: bool = True, jobs: int = 1) -> Any:
    """The measured run of a mode: the first one of all only warms up."""
    rows = [
        it
        for it in result("offload")[part]["rows"]
        if it["mode"] == mode
        and it.get("step_s")
        and (it["cfg"], it["jobs"], it.get("megapixels", 1)) == (cfg, jobs, 1)
    ]
    return rows[-1]


def against(seconds: float, base: float) -> str:
    """How many times as long something takes."""
    return f"({seconds / base:.2f}x)"


def peaks(found: Mapping[str, Any]) -> str:
    """What the stages take of the GPU."""
    return " / ".join(f"{found['peak_gib'][it]:.1f}" for it in ("encode", "denoise", "decode"))


def engine() -> Iterator[str]:
    """The modes."""
    plain = run("resident", "diffusers, resident")
    base = run("resident", "resident")
    alone = run("resident", "diffusers, resident", cfg=False)["step_s"]
    yield row(
        *("diffusers, all resident", f"{fixed(plain['step_s'], 3)} s", "", f"{fixed(alone, 3)} s"),
        *(f"{fixed(plain['total_s'])} s", plain["peak_gib"]),
    )
    four = run("resident", "resident", cfg=False, jobs=4)["step_s"] / 4
    single = run("resident", "resident", cfg=False)["step_s"]
    yield row(
        *(
            "ours, all resident",
            f"{fixed(base['step_s'], 3)} s",
            f"{fixed(four, 3)} s",
            f"{fixed(single, 3)} s",
        ),
        *(f"{fixed(base['total_s'])} s", peaks(base)),
    )
    for gib in (16, 12, 8, 6):
        yield streamed(gib, base, four)
    for gib in (16, 8, 6):
        yield packed(gib)
    yield from rivals(base)
    compiled = run("resident", "resident, compiled")["step_s"]
    yield row("ours, all resident, compiled", f"{fixed(compiled, 3)} s", "", "", "", "")
    small = run("ours", "ours, 16 GiB, compiled")
    step = f"{fixed(small['step_s'], 3)} s {against(small['step_s'], compiled)}"
    yield row("ours, 16 GiB, compiled", step, "", "", "", peaks(small))


def streamed(gib: int, base: Mapping[str, Any], four: float) -> str:
    """A row of ours within so many GiB; whole jobs were measured with ten steps alone."""
    mode = f"ours, {gib} GiB"
    found = run("ours", mode)
    together = run("ours", mode, cfg=False, jobs=4)["step_s"] / 4
    single = run("ours", mode, cfg=False)["step_s"]
    total = f"{fixed(found['total_s'])} s {against(found['total_s'], base['total_s'])}"
    return row(
        mode,
        f"{fixed(found['step_s'], 3)} s {against(found['step_s'], base['step_s'])}",
        f"{fixed(together, 3)} s {against(together, four)}",
        f"{fixed(single, 3)} s",
        total if found["steps"] == base["steps"] else "",
        peaks(found),
    )


def packed(gib: int) -> str:
    """A row of ours with packed weights, of a run without a resident one to compare with."""
    mode = f"packed, {gib} GiB"
    found, single = run("packed", mode), run("packed", mode, cfg=False)
    together = run("packed", mode, cfg=False, jobs=4)["step_s"] / 4
    seconds = (fixed(it, 3) for it in (found["step_s"], together, single["step_s"]))
    return row(
        f"ours, packed, {gib} GiB (measured apart)",
        *(f"{it} s" for it in seconds),
        "",
        peaks(found),
    )


def rivals(base: Mapping[str, Any]) -> Iterator[str]:
    """What diffusers offers."""
    group = run("group", "diffusers, group offload")
    single = run("group", "diffusers, group offload", cfg=False)["step_s"]
    yield row(
        "diffusers, group offload, 16 GiB",
        f"{fixed(group['step_s'], 3)} s {against(group['step_s'], base['step_s'])}",
        *("", f"{fixed(single, 3)} s"),
        f"{fixed(group['total_s'])} s {against(group['total_s'], base['total_s'])}",
        f"{group['peak_gib']:.1f}",
    )
    slow = run("sequential", "diffusers, sequential offload")
    single = run("sequential", "diffusers, sequential offload", cfg=False)["step_s"]
    yield row(
        "diffusers, sequential offload, 16 GiB (measured apart, two steps)",
        f"{slow['step_s']:.2f} s ({slow['step_s'] / base['step_s']:.1f}x)",
        *("", f"{single:.2f} s", "", f"{slow['peak_gib']:.1f}"),
    )


def vae() -> Iterator[str]:
    """The VAE within 16 GiB."""
    rows = [it for it in result("offload")["ours"]["rows"] if "VAE" in it["mode"]]
    names = ("1 MP", "4 MP", "64 MP (8192x8192)")
    as_fast = "whole, as fast as without a cap"
    how = (as_fast, as_fast, "tiles of 1408 pixels")
    for name, way, decode, encode in zip(names, how, rows[::2], rows[1::2], strict=True):
        assert ("1408" in way) == ("tiles of 1408" in decode["mode"])
        digits = 1 if decode["seconds"] > 1 else 3
        seconds = (f"{it['seconds']:.{digits}f} s" for it in (decode, encode))
        peak = max(it["peak_gib"] for it in (decode, encode))
        yield row(name, *seconds, f"{peak:.1f}", way)


def told_of_the_engine() -> Iterator[str]:
    """Numbers in sentences."""
    base, ours = (run(*it) for it in (("resident", "resident"), ("ours", "ours, 16 GiB")))
    many = [run(*it, jobs=8)["total_s"] for it in _SIDES]
    yield f"within 16 GiB took {many[1]:.1f} s against {many[0]:.1f} s resident"
    yield f"resident {against(many[1], many[0])}"
    group = run("group", "diffusers, group offload")["total_s"]
    yield f"The whole job is {group / ours['total_s']:.2f} times faster than with group offload"
    yield f"With everything resident it would be {group / base['total_s']:.1f} times"
    opened = next(it for it in result("offload")["ours"]["rows"] if it["mode"] == "ours, opened")
    yield f"Pinned memory is {opened['pinned_gib']:.1f} GiB"
    yield f"{opened['pinned_gib'] / opened['pinned_over_weights']:.1f} GiB of weights. Opening"
    yield f"from the GPU took {opened['seconds']:.0f} s"
    locked = next(it for it in result("offload")["packed"]["rows"] if "opened" in it["mode"])
    yield f"With packed weights it is {locked['pinned_gib']:.1f} GiB"
    yield from told_of_sizes()
    yield from told_of_files()
    yield from told_of_loading()
    yield from told_of_exactness()
    yield from told_of_the_floor()


_SIDES = (("resident", "resident"), ("ours", "ours, 16 GiB"))


def at_area(mode: str, megapixels: float = 1, *, cfg: bool = True) -> Any:
    """The measured run at an area, of those that were run in one process."""
    kind = (mode, megapixels, cfg)
    rows = (it for it in result("offload")["sizes"]["rows"] if it.get("step_s"))
    return [it for it in rows if (it["mode"], it.get("megapixels", 1), it["cfg"]) == kind][-1]


def areas() -> Iterator[str]:
    """Steps at several areas."""
    for megapixels in (1, 1.75, 4):
        resident, ours = (at_area(it, megapixels) for it in ("resident", "ours, 16 GiB"))
        step = f"{fixed(ours['step_s'], 3)} s {against(ours['step_s'], resident['step_s'])}"
        assert resident["sha256"] == ours["sha256"]
        yield row(f"{megapixels} MP", f"{fixed(resident['step_s'], 3)} s", step, peaks(ours))


def told_of_sizes() -> Iterator[str]:
    """The rest of that run."""
    library, compiled = (
        at_area(it)["step_s"] for it in ("diffusers, resident", "ours, 16 GiB, compiled")
    )
    yield f"diffusers' own step took {fixed(library, 3)} s with everything resident"
    yield f"compiled, {fixed(compiled, 3)} s {against(compiled, library)[:-1]} of it)"
    ours, base = (at_area(it, cfg=False) for it in ("ours, 16 GiB", "resident"))
    assert ours["sha256"] == base["sha256"]
    yield f"One unguided job took {fixed(ours['step_s'], 3)} s a step within 16 GiB"
    yield f"{fixed(base['step_s'], 3)} s resident {against(ours['step_s'], base['step_s'])}"
    read = (f"{at_area(it)['encode_s']:.2f} s" for it in ("ours, 16 GiB", "resident"))
    yield f"takes {next(read)} within 16 GiB and {next(read)} resident"


def told_of_files() -> Iterator[str]:
    """Starts, and a host with little main memory."""
    plain, packed_weights, small = result("from_files")["rows"]
    for it in (plain, packed_weights):
        ready, first = it["ready_s"], it["first_step_s"]
        yield f"ready after {ready:.1f} s, the first step done after {first:.1f} s"
    assert (small["host_gib"], small["vram_gib"]) == (28, 16)
    planned, taken = small["said"][:2]
    yield f"said {planned.split('take ')[1].split(' of main')[0]}"
    yield f"took {taken.split('took ')[1].split(' of main')[0]}"
    yield f"a guided step took {fixed(small['guided_step_s'], 3)} s"
    peak = max(it["peak_over_kept_gib"] for it in (plain, packed_weights, small))
    yield f"at most {peak:.2f} GiB more while it loaded than it kept"
    yield f"modulation, read from the disk, {small['said'][3].split('in ')[1].split(' s,')[0]} s"


def told_of_loading() -> Iterator[str]:
    """Reading and loading."""
    rows = result("loading")["rows"]
    cold, warm = (
        next(it for it in rows if "pinning_s" in it and it["cache"] == cache)
        for cache in ("cold", "warm")
    )
    yield f"pinned, took {cold['seconds']:.1f} s from the disk and {warm['seconds']:.2f} s from"
    read = {(it["threads"], it["cache"]): it["seconds"] for it in rows if it["what"] == "reading"}
    yield f"with one thread took {read[1, 'cold']:.1f} s and {read[1, 'warm']:.1f} s"
    yield f"with eight {read[8, 'cold']:.1f} s and {read[8, 'warm']:.1f} s"


def told_of_exactness() -> Iterator[str]:
    """Equality of bytes, and tiles."""
    rows = result("exactness")["rows"]
    assert all(it["ok"] for it in rows)
    jobs = sum(it.get("jobs", 0) for it in rows if it["what"] == "races")
    yield f"{jobs} jobs with delays thrown at the copies gave one picture"
    (leaks,) = (it for it in rows if it["what"] == "leaks")
    yield f"{leaks['jobs']} jobs, {leaks['late']['failed']} of them out of memory, left no byte"
    greatest: dict[str, float] = {}
    for it in rows:
        if it["what"] == "tiles":
            seen = greatest.get(it["precision"], 0.0)
            greatest[it["precision"]] = max(seen, it["greatest"])
    yield f"by at most {greatest['bf16']:.3f} in bf16, {greatest['fp32']:.4f} in fp32 with tf32"
    yield f"and {greatest['fp32 without tf32']:.6f} without it"


WIDTH, BLOCKS, IMAGE_TOKENS = 3072, 60, 2 * 64 * 64  # a picture to edit, and the edit
PEAK_TFLOP_S = 989  # of an H200 in bf16, dense, by its data sheet
BUS_GB_S = 55.3


def told_of_the_floor() -> Iterator[str]:
    """What the GPU could do at most, by formulas."""
    linear = 2 * BLOCKS * 12 * WIDTH**2 * IMAGE_TOKENS / 1e12
    attention = 4 * BLOCKS * WIDTH * IMAGE_TOKENS**2 / 1e12
    yield f"{linear:.0f} TFLOP"
    yield f"{attention:.0f} TFLOP"
    floor = (linear + attention) / PEAK_TFLOP_S
    yield f"together {floor:.2f} s at the {PEAK_TFLOP_S} TFLOP/s of the data sheet"
    steps = (run(*it)["step_s"] for it in (_SIDES[0], ("resident", "resident, compiled")))
    eager, compiled = steps
    times = (it / (2 * floor) for it in (eager, compiled))
    yield f"takes {eager:.2f} s eager and {compiled:.2f} s compiled"
    yield f"{next(times):.1f} and {next(times):.1f} times that"
    block_gb = 2 * 2 * 12 * WIDTH**2 / 1e9  # in bf16: two streams, without modulation
    single = run("resident", "diffusers, resident", cfg=False)["step_s"]
    crossing, computing = 1000 * block_gb / BUS_GB_S, 1000 * single / BLOCKS
    yield f"Crossing takes {crossing:.0f} ms, and one sequence computes for {computing:.1f} ms"
    encoder_gb = 2 * (published.ENCODER_WEIGHTS - published.HEAD_WEIGHTS) / 1e9
    yield f"{encoder_gb:.1f} GB, crosses in {encoder_gb / BUS_GB_S:.2f} s at {BUS_GB_S} GB/s"
    for gib, blocks in ((16, 29), (6, 53)):
        step = run("ours", f"ours, {gib} GiB", cfg=False)["step_s"]
        yield f"{blocks} blocks, {blocks * block_gb:.1f} GB, cross in"
        yield f"{blocks * block_gb / BUS_GB_S:.2f} s of a step of {fixed(step, 3)} s"


def told_of_the_model() -> Iterator[str]:
    """What a small budget costs."""
    base, small = run("resident", "resident")["step_s"], run("ours", "ours, 6 GiB")["step_s"]
    assert small < 1.01 * base
    yield "this costs less than 1 % of a step within 6 GiB"
    alone = [run(*it, cfg=False)["step_s"] for it in (_SIDES[0], ("ours", "ours, 6 GiB"))]
    yield f"up to {alone[1] / alone[0]:.1f} times"
    host = result("from_files")["rows"][2]
    planned = host["said"][0].split("take ")[1].split(" of main")[0]
    taken = host["said"][1].split("took ")[1].split(" of main")[0]
    yield f"planned {planned}, taken {taken}"
    assert host["guided_step_s"] <= 1.01 * run("resident", "diffusers, resident")["step_s"]


def told_of_areas() -> Iterator[str]:
    """What more megapixels cost."""
    steps = {it: at_area("ours, 16 GiB", it)["step_s"] for it in (1, 1.75, 4)}
    assert [round(steps[it] / steps[1]) for it in (1.75, 4)] == [2, 6]
    yield "at 1.75 takes about twice as long as at 1, at 4 about six times"


def test_the_modes_have_the_numbers_that_were_measured() -> None:
    head = (
        "| mode | step, guided | four jobs, unguided, per job | one job, unguided |"
        " whole job, 10 steps guided | peak GiB: text / denoising / VAE |"
    )
    assert written_rows(ENGINE, head) == list(engine())


def test_areas_have_the_numbers_that_were_measured() -> None:
    head = "| area | step, all resident | step within 16 GiB | peak GiB: text / denoising / VAE |"
    assert written_rows(ENGINE, head) == list(areas())


def test_the_vae_has_the_numbers_that_were_measured() -> None:
    head = "| VAE within 16 GiB | decode | encode | peak GiB | way |"
    assert written_rows(ENGINE, head) == list(vae())


def test_sentences_have_the_numbers_that_were_measured() -> None:
    assert untold(ENGINE, told_of_the_engine()) == []
    assert untold("docs/model.md", told_of_the_model()) == []
    assert untold("docs/instructions.md", told_of_areas()) == []

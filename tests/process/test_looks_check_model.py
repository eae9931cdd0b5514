"""check tells how a model will use this machine, and what to choose where it does not fit."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from harness import Daemon, HotFolder, wait_for
from published import write
from told import TOP, row, untold, written_rows

from config.settings import ModelSettings, Pack
from daemon.commands.check import look_at_attention
from daemon.commands.check_machine import FoundGpu, Gpu, NoGpu, UnknownGpuMemory
from daemon.commands.check_model import MachineResources, look_at_model
from daemon.commands.output import Verdict
from pipeline.qwen.precision import Precision

GIB = 2**30
CARD = Gpu(uuid="GPU-1", name="RTX 4080", total_bytes=16 * GIB, free_bytes=15 * GIB)
DOCUMENTED_CARD = Gpu(
    uuid="GPU-1",
    name="NVIDIA GeForce RTX 4080",
    total_bytes=16 * GIB,
    free_bytes=int(15.2 * GIB),
)
DOCUMENTED_HOSTS = ((64, 60), (48, 45), (32, 28), (16, 14))  # GB that are there, GiB available


@pytest.fixture(scope="module")
def published(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "model"
    write(folder, tiny_model)
    return folder


def looked_at(
    path: Path | None,
    gpu: FoundGpu = CARD,
    *,
    memory_gib: float = 64,
    precision: Precision = Precision.BF16,
    **settings: float | str,
) -> dict[str, Verdict]:
    """What is said of a model on such a machine, with its verdicts."""
    model = replace(ModelSettings(path=path), **settings)  # type: ignore[arg-type] # by name
    means = MachineResources(memory_bytes=int(memory_gib * GIB), gpu=gpu, precision=precision)
    return {finding.text: finding.verdict for finding in look_at_model(model, means)}


def one(said: dict[str, Verdict], words: str) -> tuple[str, Verdict]:
    """The one finding that has these words."""
    (found,) = ((text, verdict) for text, verdict in said.items() if words in text)
    return found


def test_no_model_at_all_says_where_to_name_one() -> None:
    advice = "name its folder in hotfolder.yaml (model.path) or with --model"
    assert looked_at(None) == {f"no model is named; {advice}": Verdict.PROBLEM}


def test_the_plan_names_what_stays_in_each_stage_and_what_flies_together(published: Path) -> None:
    said = looked_at(published)
    assert set(said.values()) == {Verdict.OK}
    one(
        said,
        "it may use about 13.7 GiB of GPU memory (model.vram_gib: auto; RTX 4080 has 15.0 of 16.0",
    )
    one(said, "of 28 text encoder layers stay on the GPU, the others (")
    one(said, "plan for a job with guidance: while it denoises 2 sequences together, ")
    one(said, "plan for 4 such jobs at once: while it denoises 8 sequences together, ")
    one(said, "plan: pictures pass the VAE whole (of 1.0 megapixels)")


def test_the_plan_keeps_to_what_the_settings_allow(published: Path) -> None:
    said = looked_at(published, vram_gib=6, batch=1)
    one(said, "it may use about 6.0 GiB of GPU memory (model.vram_gib: 6;")
    assert not [text for text in said if "such jobs" in text]


def test_a_gpu_for_everything_is_told_in_few_words(published: Path) -> None:
    large = replace(CARD, total_bytes=96 * GIB, free_bytes=95 * GIB)
    one(looked_at(published, large), "plan: the whole model (52.7 GiB) stays on the GPU")


def test_a_gpu_that_holds_no_plan_is_a_problem_with_the_least_that_would_do(
    published: Path,
) -> None:
    text, verdict = one(looked_at(published, vram_gib=3), "model.vram_gib: this model needs")
    assert verdict is Verdict.PROBLEM
    assert "and 3.0 GiB are allowed or free; raise it if it is set, close other programs" in text
    needed_gib = float(text.partition("at least ")[2].partition(" GiB")[0])
    assert Verdict.PROBLEM not in looked_at(published, vram_gib=needed_gib).values()


def test_without_a_gpu_the_processor_computes(published: Path) -> None:
    said = looked_at(published, NoGpu())
    one(said, "without a GPU the processor computes, in main memory")
    assert not [text for text in said if "plan" in text]


def test_without_a_gpu_nothing_is_packed_and_whoever_asked_for_it_is_told(
    published: Path,
) -> None:
    text, verdict = one(looked_at(published, NoGpu(), pack=Pack.LOSSLESS), "packed for a GPU")
    assert verdict is Verdict.WARNING
    assert "leave model.pack out" in text
    assert Verdict.WARNING not in looked_at(published, NoGpu()).values()


def test_a_gpu_of_unknown_memory_is_planned_for_where_the_settings_say_how_much(
    published: Path,
) -> None:
    gpu = UnknownGpuMemory("nvidia-smi gave no answer in 20 s", "restart the machine")
    said = looked_at(published, gpu, vram_gib=8)
    text, verdict = one(said, "could not be found out: nvidia-smi gave no answer")
    assert (verdict, text.endswith("; restart the machine")) == (Verdict.WARNING, True)
    one(said, "while it denoises 2 sequences together")
    assert not [text for text in looked_at(published, gpu) if text.startswith("plan")]


def test_main_memory_is_told_with_what_is_needed_and_what_is_there(published: Path) -> None:
    said = looked_at(published)
    one(said, "it needs 54.8 GiB of main memory (RAM), 40.2 GiB of it locked for as long as")
    one(said, "the weights take 52.8 GiB of main memory, as they are computed with")
    said = looked_at(published, memory_gib=50)
    _, verdict = one(said, "the weights take 42.9 GiB of main memory, packed in 12 bits each")
    assert verdict is Verdict.OK


@pytest.mark.parametrize(
    ("memory_gib", "enough", "words"),
    [
        (44, "54.8", ["take 40.2 GiB", "modulation (12.7 GiB) is read from its files again"]),
        (36, "44.9", ["take 30.2 GiB", "packed", "modulation (12.7 GiB) is read"]),
        (28, "44.9", ["take 25.8 GiB", "on the GPU alone 14 of 60 transformer blocks (4.4 GiB)"]),
        (16, "44.9", ["take 14.0 GiB", "the text encoder (13.3 GiB) is read from its files for"]),
    ],
)
def test_where_main_memory_is_short_it_is_told_what_is_done(
    published: Path, memory_gib: float, enough: str, words: list[str]
) -> None:
    text, verdict = one(looked_at(published, memory_gib=memory_gib), "the weights take")
    assert verdict is Verdict.WARNING
    assert all(word in text for word in words), text
    assert f"with {enough} GiB of main memory all of it would wait there" in text


def test_a_model_that_does_not_fit_is_a_problem_that_names_the_choices(published: Path) -> None:
    text, verdict = one(looked_at(published, memory_gib=6), "the model needs")
    assert verdict is Verdict.PROBLEM
    assert "and 6.0 GiB are available; close other programs or add memory" in text
    text, _ = one(looked_at(published, memory_gib=14, pack=Pack.NONE), "the model needs")
    assert "leave model.pack out: packed it needs" in text
    text, _ = one(looked_at(published, ram_gib=2), "the model needs")
    assert "raise model.ram_gib (62.0 are free for weights) or close" in text


def test_what_is_packed_is_planned_for_as_it_crosses(published: Path) -> None:
    said = looked_at(published, memory_gib=36)
    plain, packed = (
        int(one(one_said, "plan for a job with guidance")[0].split(", ")[1].split(" of 60")[0])
        for one_said in (looked_at(published), said)
    )
    assert packed > 1.25 * plain


def test_numbers_of_four_bytes_need_twice_the_memory_and_are_not_packed(published: Path) -> None:
    one(looked_at(published, precision=Precision.FP32, memory_gib=120), "it needs 107.7 GiB")
    text, _ = one(
        looked_at(published, precision=Precision.FP32, pack=Pack.LOSSLESS),
        "model.pack: only weights",
    )
    assert "in bf16 can be packed; leave DTYPE out, or write none or auto" in text
    text, _ = one(looked_at(published, precision=Precision.FP32, memory_gib=40), "needs")
    assert "leave DTYPE out: in bf16 it needs" in text


def test_the_example_of_the_documents_is_what_is_said(published: Path) -> None:
    said = [*looked_at(published, DOCUMENTED_CARD, memory_gib=60).items()]
    lines = [f"{verdict:<8} model    {text}" for text, verdict in said[2:]]
    text = (TOP / "docs/model.md").read_text(encoding="utf-8")
    assert "\n".join(["```text", *lines, "```"]) in text


def rows_of_hosts(published: Path) -> Iterator[str]:
    """What is said on hosts of several sizes."""
    for gb, available_gib in DOCUMENTED_HOSTS:
        said = looked_at(published, DOCUMENTED_CARD, memory_gib=available_gib)
        text, _ = one(said, "the weights take")
        (takes,) = re.findall(r"take (\S+ GiB)", text)
        packed = ", packed" if "packed" in text else ""
        on_gpu = re.findall(r"alone (\d+ of 60) transformer (blocks) \((\S+ GiB)\)", text)
        files = [
            f"modulation, {it}" for it in re.findall(r"modulation \((\S+ GiB)\) is read", text)
        ]
        files += [
            f"for each batch the text encoder, {it}"
            for it in re.findall(r"encoder \((\S+ GiB)\) is read from its files for each", text)
        ]
        alone = "".join(f"{count} {what}, {gib}" for count, what, gib in on_gpu)
        yield row(f"{gb} GB", f"{available_gib} GiB", takes + packed, alone, "; ".join(files))


def test_the_plans_of_the_documents_are_what_is_said(published: Path) -> None:
    head = (
        "| Main memory | Available | The weights take | On the GPU alone | Read from their files |"
    )
    assert written_rows("docs/model.md", head) == list(rows_of_hosts(published))


def test_the_documents_name_the_least_that_each_plan_needs(published: Path) -> None:
    rows = written_rows("docs/engine.md", "| Plan | Main memory |")
    needs = [re.sub(r".*\| (\S+) GiB \|", r"\1", line) for line in rows]
    for need in needs:
        enough = looked_at(published, DOCUMENTED_CARD, memory_gib=float(need) + 0.05)
        less = looked_at(published, DOCUMENTED_CARD, memory_gib=float(need) - 0.05)
        one(enough, f"it needs {need} GiB of main memory")
        assert not [text for text in less if f"it needs {need} GiB" in text]
    nothing = looked_at(published, DOCUMENTED_CARD, memory_gib=float(needs[-1]) - 0.05)
    one(nothing, f"the model needs {needs[-1]} GiB of main memory (RAM), and")
    told = (
        f"{needs[0]} GiB for all of them, {needs[1]} GiB for all of them packed, and with that"
        f" card at least {needs[-1]} GiB"
    )
    assert untold("docs/model.md", [told]) == []


def test_a_kernel_whose_package_is_missing_is_a_problem() -> None:
    assert list(look_at_attention("native")) == []
    (finding,) = look_at_attention("_sage_qk_int8_pv_fp16_cuda")
    assert finding.verdict is Verdict.PROBLEM
    assert "its package (sageattention) is not installed; install it, or write" in finding.text


def test_the_command_asks_nvidia_smi_and_ends_with_78(
    hot: HotFolder, published: Path, tmp_path: Path
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU-1, 4096, 3000, NVIDIA T400'\n")
    program.chmod(0o755)
    hot.environment["PATH"] = f"{tmp_path}:{hot.environment['PATH']}"
    done = hot.call("check", "--model", published)
    assert done.returncode == 78
    assert "1.6 GiB of GPU memory (model.vram_gib: auto; NVIDIA T400 has 2.9 of" in done.stdout
    assert "problem  model    model.vram_gib: this model needs at least" in done.stdout


def test_memory_that_a_running_daemon_holds_is_not_missed(
    hot: HotFolder, tiny_model: Path, start: Callable[..., Daemon]
) -> None:
    daemon = start("--model", tiny_model)
    wait_for(lambda: daemon.said("action=editor_loading"))
    done = hot.call("check", "--model", tiny_model)
    assert "whether it fits is not looked at while a running daemon holds a model" in done.stdout
    assert "main memory" not in done.stdout


def test_a_running_daemon_without_a_model_holds_nothing(
    hot: HotFolder, tiny_model: Path, start: Callable[..., Daemon]
) -> None:
    daemon = start("--editor", "echo")
    wait_for(lambda: daemon.said("action=editor_ready"))
    assert "it needs 2.0 GiB of main memory" in hot.call("check", "--model", tiny_model).stdout

"""The GPU that a model will get, by the account of a program that answers as nvidia-smi does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.commands.check_machine import FoundGpu, Gpu, NoGpu, UnknownGpuMemory, find_gpu

MIB = 2**20
GIB = 2**30
LARGE = "GPU-aaaa-1, 16376, 15611, NVIDIA GeForce RTX 4080"
SECOND = "GPU-bbbb-2, 16376, 9000, NVIDIA GeForce RTX 4080"
SMALL = "GPU-cccc-3, 4096, 4000, NVIDIA T400"
ABSENT = Path("/nowhere")


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., FoundGpu]:
    """ask(*lines, status=0, **environment) -> what is found where nvidia-smi says so."""

    def asking(*lines: str, status: int = 0, **environment: str) -> FoundGpu:
        program = tmp_path / "nvidia-smi"
        said = "\n".join(lines)
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\nexit {status}\n")
        program.chmod(0o755)
        path = f"{tmp_path}:/usr/bin:/bin"
        return find_gpu({"PATH": path, **environment}, driver=ABSENT)

    return asking


def test_the_first_gpu_is_taken_with_what_is_free_of_it(ask: Callable[..., FoundGpu]) -> None:
    assert ask(LARGE, SECOND) == Gpu(
        uuid="GPU-aaaa-1",
        name="NVIDIA GeForce RTX 4080",
        total_bytes=16376 * MIB,
        free_bytes=15611 * MIB,
    )


@pytest.mark.parametrize(("shown", "uuid"), [("1", "GPU-bbbb-2"), ("GPU-bb,0", "GPU-bbbb-2")])
def test_cuda_visible_devices_chooses(ask: Callable[..., FoundGpu], shown: str, uuid: str) -> None:
    found = ask(LARGE, SECOND, CUDA_VISIBLE_DEVICES=shown)
    assert isinstance(found, Gpu)
    assert found.uuid == uuid


@pytest.mark.parametrize("shown", ["", "-1", "2", "GPU-dddd", "NoDevFiles"])
def test_cuda_visible_devices_may_show_none(ask: Callable[..., FoundGpu], shown: str) -> None:
    assert ask(LARGE, SECOND, CUDA_VISIBLE_DEVICES=shown) == NoGpu()


def test_of_different_gpus_one_has_to_be_chosen(ask: Callable[..., FoundGpu]) -> None:
    found = ask(SMALL, LARGE)
    assert isinstance(found, UnknownGpuMemory)
    assert "NVIDIA T400, NVIDIA GeForce RTX 4080" in found.why
    assert "CUDA_VISIBLE_DEVICES=GPU-" in found.advice
    assert isinstance(ask(SMALL, LARGE, CUDA_VISIBLE_DEVICES="GPU-aaaa-1"), Gpu)
    assert isinstance(ask(SMALL, LARGE, CUDA_DEVICE_ORDER="PCI_BUS_ID"), Gpu)


@pytest.mark.parametrize(
    ("lines", "status", "why"),
    [
        (["NVIDIA-SMI has failed because it did", "more"], 9, "NVIDIA-SMI has failed because"),
        (["GPU-aaaa-1, [N/A], [N/A], NVIDIA GB10"], 0, "does not tell the GPU's memory"),
        (["odd"], 0, "does not tell the GPU's memory"),
    ],
)
def test_an_answer_that_tells_nothing_is_passed_on_as_such(
    ask: Callable[..., FoundGpu], lines: list[str], status: int, why: str
) -> None:
    found = ask(*lines, status=status)
    assert isinstance(found, UnknownGpuMemory)
    assert why in found.why


def test_a_part_of_a_gpu_is_not_told(ask: Callable[..., FoundGpu]) -> None:
    assert isinstance(ask(LARGE, CUDA_VISIBLE_DEVICES="MIG-1"), UnknownGpuMemory)


def test_a_machine_without_devices_or_driver_has_no_gpu(
    ask: Callable[..., FoundGpu], tmp_path: Path
) -> None:
    assert ask("No devices were found", status=6) == NoGpu()
    nothing = {"PATH": str(tmp_path / "empty")}
    assert find_gpu(nothing, driver=ABSENT) == NoGpu()
    assert isinstance(find_gpu(nothing, driver=tmp_path), UnknownGpuMemory)


def test_a_driver_that_hangs_costs_the_deadline(tmp_path: Path) -> None:
    program = tmp_path / "hanging"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    found = find_gpu({"PATH": "/usr/bin:/bin"}, str(program), deadline_seconds=0.2)
    assert isinstance(found, UnknownGpuMemory)
    assert "gave no answer in 0.2 s" in found.why


def test_a_program_that_is_none_is_told(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("no program\n")
    program.chmod(0o755)
    assert isinstance(find_gpu({"PATH": str(tmp_path)}), UnknownGpuMemory)

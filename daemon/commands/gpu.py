"""The GPU that the model will get, and how much of its memory is free, by nvidia-smi's account."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_QUERY = ("--query-gpu=uuid,memory.total,memory.free,name", "--format=csv,noheader,nounits")
_DEADLINE_SECONDS = 20.0  # a driver that has to wake several GPUs first takes a few
_MIB = 2**20
_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU."""

    uuid: str
    name: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class NoGpu:
    """There is none that the model may use."""


@dataclass(frozen=True, slots=True)
class UnknownGpuMemory:
    """There is one, and its free memory could not be found out."""

    why: str
    advice: str


FoundGpu = Gpu | NoGpu | UnknownGpuMemory


def find_gpu(
    environment: Mapping[str, str],
    command: str = "nvidia-smi",
    deadline_seconds: float = _DEADLINE_SECONDS,
    driver: Path = _DRIVER,
) -> FoundGpu:
    """Ask `command` for the GPUs, and choose as CUDA does; `driver` exists where there is one."""
    program = shutil.which(command, path=environment.get("PATH"))
    if program is None:
        if driver.exists():
            return UnknownGpuMemory(f"{command} is not installed", "install it with the driver")
        return NoGpu()
    try:
        # The environment is handed on: the loader may need its paths to find the driver.
        asked = subprocess.run(
            [program, *_QUERY],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=deadline_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        why = f"{command} gave no answer in {deadline_seconds:g} s"
        return UnknownGpuMemory(why, "the driver may hang: restart the machine")
    except OSError as error:
        return UnknownGpuMemory(
            f"{command} cannot be run ({error.strerror})", "install the driver again"
        )
    return _read(asked, environment)


def _read(asked: subprocess.CompletedProcess[str], environment: Mapping[str, str]) -> FoundGpu:
    lines = [line for line in asked.stdout.splitlines() if line.strip()]
    if asked.returncode != 0:
        words = (lines or asked.stderr.splitlines() or [f"exit code {asked.returncode}"])[0]
        if words.startswith("No devices"):
            return NoGpu()
        return UnknownGpuMemory(
            f"nvidia-smi says: {words.rstrip('. ')}", "mend the driver until nvidia-smi works"
        )
    try:
        gpus = [_gpu(line) for line in lines]
    except ValueError:
        return UnknownGpuMemory("nvidia-smi does not tell the GPU's memory", "set model.vram_gib")
    return choose(gpus, environment)


def _gpu(line: str) -> Gpu:
    uuid, total_mib, free_mib, name = line.split(", ", maxsplit=3)
    total_bytes, free_bytes = int(total_mib) * _MIB, int(free_mib) * _MIB
    return Gpu(uuid=uuid, name=name.strip(), total_bytes=total_bytes, free_bytes=free_bytes)


def choose(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> FoundGpu:
    """The first that CUDA_VISIBLE_DEVICES shows, of GPUs in the order of the bus."""
    first = environment.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0].strip()
    if first.startswith("MIG-"):
        return UnknownGpuMemory(
            "nvidia-smi tells nothing of a part of a GPU", "set model.vram_gib"
        )
    if first.startswith("GPU-"):
        return next((gpu for gpu in gpus if gpu.uuid.startswith(first)), NoGpu())
    if not first.isdecimal() or int(first) >= len(gpus):
        return NoGpu()
    alike = len({gpu.name for gpu in gpus}) == 1
    if not alike and environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        # CUDA counts the fastest first, and only CUDA knows which that is.
        why = f"it is not clear which of {', '.join(gpu.name for gpu in gpus)} is used"
        return UnknownGpuMemory(why, f"choose one, say CUDA_VISIBLE_DEVICES={gpus[0].uuid}")
    return gpus[int(first)]

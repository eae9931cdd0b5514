"""Whether this machine can run the daemon: local folders, memory, libraries, GPU, no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from config import codec
from config.problems import UserError
from daemon.commands.check_folder import free_space
from daemon.commands.output import Finding, ok, problem, problems, warning
from daemon.fs.local import nearest_existing
from daemon.fs.local_dirs import locate_local_dirs
from daemon.fs.mounts import find_mount
from pipeline.qwen import offline, precision

_SUBJECT = "machine"
_TORCH_SECONDS = 120.0  # a cold import from a slow disk
_NVIDIA = Path("/proc/driver/nvidia/version")
_QUERY = ("--query-gpu=uuid,memory.total,memory.free,name", "--format=csv,noheader,nounits")
_GPUS_SECONDS = 20.0  # a driver that has to wake several GPUs first takes a few
_MIB = 2**20

_TORCH = """
import json, torch
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
gpus = [torch.cuda.get_device_properties(number) for number in range(count)]
import accelerate, diffusers, safetensors, transformers
print(json.dumps({
    "torch": torch.__version__,
    "diffusers": diffusers.__version__,
    "transformers": transformers.__version__,
    "cuda": torch.version.cuda,
    "gpus": [[gpu.name, gpu.total_memory] for gpu in gpus],
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Libraries:
    """What the model libraries say of themselves and of the GPUs."""

    torch: str
    diffusers: str
    transformers: str
    cuda: str | None  # None: this torch computes on the CPU alone
    gpus: tuple[tuple[str, int], ...]  # name, bytes of memory


def look_at_places(environment: Mapping[str, str], min_free_gib: float) -> Iterator[Finding]:
    """Look whether state and scratch can be kept on this machine; makes nothing."""
    try:
        found = locate_local_dirs(environment)
    except UserError as error:
        yield from problems(_SUBJECT, error.problems)
        return
    for name, path in (("state", found.state), ("scratch", found.scratch)):
        yield from _look_at_place(name, path)
    if (there := _nearest_folder(found.scratch)) is not None:
        yield free_space(_SUBJECT, there, min_free_gib)


def _look_at_place(name: str, path: Path) -> Iterator[Finding]:
    there = _nearest_folder(path)
    advice = "choose a local folder that the daemon's user can write to"
    mount = find_mount(path)
    if there is None or not os.access(there, os.W_OK | os.X_OK):
        yield problem(_SUBJECT, f"{name} folder {path} is not writable", advice)
    elif mount is not None and mount.is_share:
        what = f"{name} folder {path} is on a share ({mount.type}), which loses locks"
        yield problem(_SUBJECT, what, advice)
    else:
        will = "" if there == path else " (made at the first start)"
        yield ok(_SUBJECT, f"{name} folder {path}{will}")


def _nearest_folder(path: Path) -> Path | None:
    found = nearest_existing(path)
    return found if found.is_dir() else None


def look_at_libraries() -> Iterator[Finding]:
    """Import the model libraries in a process of their own and ask them for GPUs."""
    advice = "install them: pip install 'hotfolder[qwen]'"
    try:
        found = _ask_libraries()
    except subprocess.TimeoutExpired:
        yield problem(_SUBJECT, f"torch was not imported in {_TORCH_SECONDS:g} s", advice)
        return
    if isinstance(found, str):
        yield problem(_SUBJECT, f"the model libraries do not work ({found})", advice)
        return
    versions = f"torch {found.torch}, diffusers {found.diffusers}"
    yield ok(_SUBJECT, f"{versions}, transformers {found.transformers}")
    yield from _gpus(found)


def _ask_libraries() -> Libraries | str:
    """What the libraries say, or the last line of why they do not."""
    # -P: nothing that lies in the working directory is taken for a library.
    words = (sys.executable, "-P", "-c", _TORCH)
    asked = _run(words, {**os.environ, **offline.SWITCHES}, _TORCH_SECONDS)
    if asked.returncode != 0:
        said = asked.stderr.strip().splitlines()
        return said[-1] if said else f"exit code {asked.returncode}"
    try:
        return codec.load(Libraries, (asked.stdout.splitlines() or [""])[-1])
    except ValueError as error:
        return f"what they say cannot be read ({error})"


def _run(
    words: Sequence[str], environment: Mapping[str, str], deadline_seconds: float
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=deadline_seconds,
        check=False,
    )


def _gpus(found: Libraries) -> Iterator[Finding]:
    for name, size in found.gpus:
        yield ok(_SUBJECT, f"GPU {name}, {size / 2**30:.0f} GiB")
    if found.gpus:
        return
    if _NVIDIA.exists() and found.cuda is None:
        what, advice = (
            "there is an NVIDIA GPU, but this torch is for CPUs",
            "install torch for CUDA",
        )
    elif _NVIDIA.exists():
        what = f"torch (CUDA {found.cuda}) does not find the NVIDIA GPU"
        advice = "run nvidia-smi; a newer driver or an older torch may be needed"
    else:
        what, advice = "no GPU was found", "the CPU edits, very slowly with a real model"
    yield warning(_SUBJECT, what, advice)


def look_at_switches(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the environment variables that the model heeds."""
    against = [
        f"{name}={environment[name]}"
        for name, value in offline.SWITCHES.items()
        if environment.get(name, value) != value
    ]
    for written in against:
        yield warning(_SUBJECT, f"{written} has no effect", "Hotfolder sets it itself; remove it")
    names = ", ".join(list(offline.SWITCHES)[:2])
    count = len(offline.SWITCHES) - 2
    yield ok(_SUBJECT, f"offline: {names} and {count} more are set before the model is loaded")
    yield from _precision(environment)


def _precision(environment: Mapping[str, str]) -> Iterator[Finding]:
    try:
        chosen = precision.asked_for(environment)
    except UserError as error:
        yield from problems(_SUBJECT, error.problems)
        return
    if chosen is precision.Precision.FP16:
        yield warning(_SUBJECT, precision.FP16_CAUTION, "leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU, by nvidia-smi's account."""

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
    deadline_seconds: float = _GPUS_SECONDS,
    driver: Path = _NVIDIA,
) -> FoundGpu:
    """Ask `command` for the GPUs, and choose as CUDA does; `driver` exists where there is one."""
    program = shutil.which(command, path=environment.get("PATH"))
    if program is None:
        if driver.exists():
            return UnknownGpuMemory(f"{command} is not installed", "install it with the driver")
        return NoGpu()
    try:
        # The environment is handed on: the loader may need its paths to find the driver.
        asked = _run((program, *_QUERY), environment, deadline_seconds)
    except subprocess.TimeoutExpired:
        why = f"{command} gave no answer in {deadline_seconds:g} s"
        return UnknownGpuMemory(why, "the driver may hang: restart the machine")
    except OSError as error:
        return UnknownGpuMemory(
            f"{command} cannot be run ({error.strerror})", "install the driver again"
        )
    return _found(asked, environment)


def _found(asked: subprocess.CompletedProcess[str], environment: Mapping[str, str]) -> FoundGpu:
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
    return _choose(gpus, environment)


def _gpu(line: str) -> Gpu:
    uuid, total_mib, free_mib, name = line.split(", ", maxsplit=3)
    total_bytes, free_bytes = int(total_mib) * _MIB, int(free_mib) * _MIB
    return Gpu(uuid=uuid, name=name.strip(), total_bytes=total_bytes, free_bytes=free_bytes)


def _choose(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> FoundGpu:
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

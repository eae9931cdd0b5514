"""What many jobs, a fifth of them failing, leave behind on a device and in its host."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

JOBS = 100
_ALLOWED_RESERVED_BYTES = 4 * 2**20  # two of the allocator's smallest pieces
_ALLOWED_HOST_KIB = 16 * 1024
Row = dict[str, object]


def leaks(scratch: Path, device: Any, *, is_whole: bool) -> Iterator[Row]:
    """Jobs, of which a fifth run out of memory, leave both memories as they were."""
    from benchmarks.trial import Trial
    from pipeline.checkpoint import EDIT_PLUS

    trial = Trial(scratch / "leaks", device, EDIT_PLUS)
    copy_stream = trial.copy_stream()
    editor = trial.streaming("bf16", copy_stream, 1)
    rounds = JOBS // 5 if is_whole else 4
    early: Row = {}
    failed = 0
    for number in range(1, rounds + 1):
        failed += _round(trial, editor, number)
        if number == rounds * 2 // 5:
            early = {**_memory(device), "failed": failed}
    late = {**_memory(device), "failed": failed}
    grown = {name: late[name] - early[name] for name in early}  # type: ignore[operator] # numbers
    ok = (
        failed == rounds
        and grown["device_bytes"] == 0
        and grown["device_reserved_bytes"] <= _ALLOWED_RESERVED_BYTES
        and grown["tensors"] == 0
        and grown["host_kib"] <= _ALLOWED_HOST_KIB
    )
    yield {"what": "leaks", "jobs": 5 * rounds, "late": late, "grown": grown, "ok": ok}


def _round(trial: Any, editor: Any, number: int) -> int:
    """Four good jobs and one that fails; how many have failed."""
    from benchmarks.trial import edited
    from pipeline.editor import Event, Failed, Stage, StageName

    moments = [StageName.ENCODE, StageName.DENOISE]
    failures: list[object] = []

    def listen(event: Event) -> frozenset[str]:
        if isinstance(event, Failed):
            failures.append(event)
        if isinstance(event, Stage) and event.stage is moments[number % 2]:
            _cramp(trial.device)
        return frozenset()

    good = [trial.request(cfg=4.0), trial.request((96, 64)), trial.request((32, 64), cfg=2.0)]
    failures += [picture for picture in edited(editor, good) if picture is None]
    if trial.on_gpu:  # so large that its picture alone is more than is left
        edited(editor, [trial.request((512, 512), steps=1)], listen)
        _release_cap(trial.device)
        trial.plan_anew(editor, 1)
    else:
        edited(editor, [trial.request(images=(Path("/nowhere.png"),))], listen)
    failures += [picture for picture in edited(editor, [trial.request()]) if picture is None]
    return len(failures)


def _cramp(device: Any) -> None:
    """Leave no memory but what is in use."""
    import torch

    if device.type == "cuda":
        release(device)
        total = torch.cuda.get_device_properties(device).total_memory
        allowed = torch.cuda.memory_reserved(device) + 2**20
        torch.cuda.set_per_process_memory_fraction(allowed / total, device)


def _release_cap(device: Any) -> None:
    import torch

    torch.cuda.set_per_process_memory_fraction(1.0, device)


def _memory(device: Any) -> dict[str, int]:
    import ctypes

    import torch

    release(device)
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    on_gpu = device.type == "cuda"
    return {
        "device_bytes": torch.cuda.memory_allocated(device) if on_gpu else 0,
        "device_reserved_bytes": torch.cuda.memory_reserved(device) if on_gpu else 0,
        "tensors": sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects()),
        "host_kib": next(int(one.split()[1]) for one in status if one.startswith("VmRSS:")),
    }


def release(device: Any) -> None:
    """Give back what is free of the device's memory."""
    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()

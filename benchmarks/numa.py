"""How fast weights reach the GPU from each NUMA node's memory (run by hand, needs a GPU).

A machine of several sockets has memory near the GPU and memory that lies behind a link. This takes
2 GiB of pinned memory on each node, spread over all of them, and where the 16 threads that read
the weights happen to put it, and copies each to the GPU: python -m benchmarks.numa --out FILE.
Needs torch alone.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import mmap
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import machine

GIB = 2**30
SIZE_BYTES = 2 * GIB
READERS = 16  # as many as read weights: pipeline/qwen/weight_loading.py
REPEATS = 7
SAMPLES = 1024  # pages that are asked where they lie
NODES = Path("/sys/devices/system/node")
DEFAULT, BIND, INTERLEAVE = 0, 2, 3  # set_mempolicy(2)
WHERE_AN_ADDRESS_LIES = 1 | 2  # MPOL_F_NODE | MPOL_F_ADDR: get_mempolicy(2)
# Numbers of set_mempolicy and get_mempolicy.
CALLS = {"x86_64": (238, 239), "aarch64": (237, 236)}
Row = dict[str, object]


def nodes() -> dict[int, set[int]]:
    """The processors of each node that has memory."""
    withwhole_pages = (NODES / "has_memory").read_text(encoding="ascii")
    return {
        node: _numbers((NODES / f"node{node}" / "cpulist").read_text(encoding="ascii"))
        for node in sorted(_numbers(withwhole_pages))
    }


def _numbers(text: str) -> set[int]:
    """What a list such as "0-3,8" names."""
    ranges = [part.split("-") for part in text.strip().split(",") if part]
    return {number for ends in ranges for number in range(int(ends[0]), int(ends[-1]) + 1)}


def node_of_gpu(device: int = 0) -> int | None:
    """The node that the GPU hangs on; None where the kernel does not know."""
    import torch

    facts = torch.cuda.get_device_properties(device)
    place = f"{facts.pci_domain_id:04x}:{facts.pci_bus_id:02x}:{facts.pci_device_id:02x}.0"
    try:
        text = Path(f"/sys/bus/pci/devices/{place}/numa_node").read_text(encoding="ascii")
    except OSError:
        return None
    return int(text) if int(text) >= 0 else None


def _call(number: int, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(number), *arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@contextmanager
def placing(policy: int, where: Sequence[int], processors: set[int]) -> Iterator[None]:
    """Within this context this thread and those that it starts take memory on these nodes."""
    set_policy, _ = CALLS[platform.machine()]
    usual = os.sched_getaffinity(0)
    mask = ctypes.c_ulong(sum(1 << node for node in where))
    os.sched_setaffinity(0, processors or usual)
    _call(set_policy, policy, ctypes.byref(mask) if where else None, ctypes.c_ulong(64))
    try:
        yield
    finally:
        _call(set_policy, DEFAULT, None, ctypes.c_ulong(0))
        os.sched_setaffinity(0, usual)


def lies(memory: Any) -> dict[int, float]:
    """The share of the memory that lies on each node."""
    _, get_policy = CALLS[platform.machine()]
    step = memory.numel() // SAMPLES // mmap.PAGESIZE * mmap.PAGESIZE
    found: Counter[int] = Counter()
    node = ctypes.c_int()
    for number in range(SAMPLES):
        address = ctypes.c_void_p(memory.data_ptr() + number * step)
        _call(
            get_policy,
            ctypes.byref(node),
            None,
            ctypes.c_ulong(0),
            address,
            WHERE_AN_ADDRESS_LIES,
        )
        found[node.value] += 1
    return {where: round(count / SAMPLES, 3) for where, count in sorted(found.items())}


def filled() -> Any:
    """Memory as weights wait in it, first touched by as many threads as read them."""
    from pipeline.qwen.pinnedwhole_pages import _memory

    memory = whole_pages(SIZE_BYTES)
    with ThreadPoolExecutor(READERS) as readers:
        list(readers.map(lambda part: part.fill_(1), memory.split(16 * 2**20)))
    return memory


def measure(what: str, **facts: object) -> Row:
    """The speed from memory that is taken now."""
    import torch

    from pipeline.qwen.copy_stream import CudaCopyStream

    device = torch.device("cuda", 0)
    copy_stream = CudaCopyStream(device)
    memory = filled()
    began = time.perf_counter()
    copy_stream.pin(memory)
    pinning_seconds = time.perf_counter() - began
    target = torch.empty(SIZE_BYTES, dtype=torch.uint8, device=device)
    speeds = []
    for _ in range(REPEATS):
        torch.cuda.synchronize(device)
        began = time.perf_counter()
        copy_stream.fetch(target, memory, after=copy_stream.mark())
        copy_stream.drain()
        speeds.append(round(SIZE_BYTES / (time.perf_counter() - began) / 1e9, 2))
    row: Row = {"what": what, **facts, "lies_on": lies(memory)}
    row |= {"pinning_s": round(pinning_seconds, 3), "gb_s": statistics.median(speeds[1:])}
    copy_stream.unpin(memory)
    return row | {"all_gb_s": speeds}


def rows(found: dict[int, set[int]]) -> Iterator[Row]:
    """Each way to place the memory; the first is measured again at the end."""
    yield measure("as loaded")
    for node, processors in found.items():
        with placing(BIND, [node], processors):
            yield measure("bound", node=node)
    with placing(INTERLEAVE, list(found), set()):
        yield measure("interleaved")
    yield measure("as loaded")


def main() -> None:
    """Measure, and put the rows into a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    import torch

    found = nodes()
    document: dict[str, object] = {
        "hardware": machine.hardware(arguments.out.resolve().parent),
        "gpu": torch.cuda.get_device_name(0),
        "torch": str(torch.__version__),
        "date": machine.now(),
        **machine.commit(),
        "nodes": {node: len(processors) for node, processors in found.items()},
        "node_of_gpu": node_of_gpu(),
        "gib": SIZE_BYTES // GIB,
        "readers": READERS,
    }
    document["rows"] = list(rows(found))
    arguments.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()

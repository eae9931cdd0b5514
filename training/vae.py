"""Train the VAE: `python -m training.vae OUT`; started again, it goes on where it was."""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from training import parts, planar
from training.course import Course, Plan, half, hardware, record
from training.drawing import draw, numbers, quicken
from training.exam import decibel
from training.loader import batches
from training.ranks import Rank, join, share
from training.scene import busy, studio
from training.world import MOST_THINGS_OF_BUSY

_SIDE = 256
_KL = 1e-6
_MEASURED = 128  # pictures of each sort
_NOISE = 0.08  # of a latent's deviation: the decoder learns to bear the transformer's errors


def scenes(chance: random.Random, count: int) -> dict[str, np.ndarray]:
    """Numbers of scenes, half of them crowded."""
    half_count = count // 2
    return {
        "worldly": numbers([studio(chance, 1.0) for _ in range(half_count)], 4),
        "crowded": numbers([busy(chance, 1.0) for _ in range(half_count)], MOST_THINGS_OF_BUSY),
    }


def main() -> None:
    """Train, and leave vae.safetensors and what it measured in the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--batch", type=int, default=32, help="pictures a step, on each GPU")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=6)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    plan = Plan(seed=given.seed, minutes=given.minutes, batch=given.batch, peak_rate=1e-3)
    train(plan, given.out, given.workers, join())


def train(plan: Plan, out: Path, workers: int, rank: Rank) -> None:
    """Train until the plan is done; every process of the training calls this."""
    torch.manual_seed(plan.seed)
    on_gpu = rank.device.type == "cuda"
    vae = parts.autoencoder().to(rank.device)
    planar.flatten(vae)
    optimizer = torch.optim.AdamW(
        vae.parameters(), plan.peak_rate, betas=(0.9, 0.95), weight_decay=1e-4, fused=on_gpu
    )
    course = Course(plan, {"vae": vae}, optimizer)
    course.load(out / "vae.pt")
    torch.manual_seed(plan.seed + 1000 * rank.number + course.step)
    if on_gpu:
        quicken()
    stream = batches(
        _Maker(plan.batch),
        seed=f"vae {plan.seed} {rank.number}",
        start=course.step,
        workers=workers,
    )
    loss_of = torch.compile(_loss) if on_gpu else _loss
    while (done := course.agreed_share(rank)) < 1:
        course.set_rate(done)
        with torch.no_grad():
            pictures = _pictures(next(stream), rank.device)
        squared = _learn(vae, pictures, loss_of, optimizer, rank)
        course.count()
        if rank.leads:
            if course.step % 200 == 0:
                print(f"vae {course.step} {done:.3f} {decibel(squared.item() / 4):.2f} dB")
            course.save_if_due(out / "vae.pt")
    if rank.leads:
        course.take_average()
        _finish(vae, course, out, rank)


def _learn(
    vae: Any, pictures: torch.Tensor, loss_of: Any, optimizer: Any, rank: Rank
) -> torch.Tensor:
    """One step; returns the mean square error, for values -1..1."""
    with torch.autocast(rank.device.type, torch.bfloat16):
        loss, squared = loss_of(vae, pictures)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    learned = list(vae.parameters())
    share(learned, rank)
    torch.nn.utils.clip_grad_norm_(learned, 1.0)
    optimizer.step()
    return squared.detach()


@dataclass(frozen=True, slots=True)
class _Maker:
    count: int

    def __call__(self, chance: random.Random, _index: int) -> dict[str, np.ndarray]:
        return scenes(chance, self.count)


def _pictures(drawn: dict[str, Any], device: torch.device) -> torch.Tensor:
    """(n, 3, side, side), -1..1."""
    halves = [
        draw(torch.as_tensor(rows).to(device, non_blocking=True), _SIDE, _SIDE)
        for rows in (drawn["worldly"], drawn["crowded"])
    ]
    return torch.cat(halves) * 2 - 1


def _loss(vae: Any, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    mean, logarithm = planar.encode(vae, pictures)
    mean, logarithm = mean.float(), logarithm.float()
    deviation = mean.detach().std(dim=(0, 2, 3), keepdim=True)
    blurred = mean + torch.randn_like(mean) * (0.5 * logarithm).exp()
    # Every other picture is decoded from a latent that is a little wrong.
    wrong = torch.arange(len(mean), device=mean.device)[:, None, None, None] % 2
    blurred = blurred + wrong * _NOISE * deviation * torch.randn_like(mean)
    error = planar.decode(vae, blurred).float() - pictures
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    down = (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    squared = error.square().mean()
    divergence = 0.5 * (mean.square() + logarithm.exp() - 1 - logarithm).mean()
    loss = (
        error.abs().mean()
        + 4 * squared
        + 0.5 * (across + down)
        + _KL * divergence * parts.CHANNELS
    )
    return loss, squared


def _finish(vae: Any, course: Course, out: Path, rank: Rank) -> None:
    """Measure the latents' spread and what is lost, and write all down."""
    vae.eval()
    with torch.no_grad(), torch.autocast(rank.device.type, torch.bfloat16):
        latents, lost = _measured(vae, rank.device)
    statistics = {
        "mean": latents.mean((0, 2, 3)).tolist(),
        "deviation": latents.std((0, 2, 3)).tolist(),
    }
    save_file(half(vae.state_dict()), out / "vae.safetensors")
    medians = {name: round(median(values), 2) for name, values in lost.items()}
    entry = {**course.account(), "hardware": hardware(rank.count), "median_psnr_db": medians}
    record(out / "training.json", {"vae": entry, "latents": statistics})
    course.save(out / "vae.pt")
    print("vae", medians, flush=True)


def _measured(vae: Any, device: torch.device) -> tuple[torch.Tensor, dict[str, list[float]]]:
    """Latents of the world, and the PSNR of pictures that went there and back."""
    chance = random.Random("vae measured")
    latents = []
    lost: dict[str, list[float]] = {"world": [], "busy": []}
    for _ in range(_MEASURED // 16):
        pictures = _pictures(scenes(chance, 32), device)
        mean, _ = planar.encode(vae, pictures)
        back = planar.decode(vae, mean).float().clamp(-1, 1)
        latents.append(mean[:16].float())
        squares = ((back - pictures).square().mean((1, 2, 3)) / 4).tolist()
        lost["world"] += [decibel(one) for one in squares[:16]]
        lost["busy"] += [decibel(one) for one in squares[16:]]
    return torch.cat(latents), lost


if __name__ == "__main__":
    main()

"""The number format in which the model computes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum

from config.problems import Problem, UserError

log = logging.getLogger(__name__)


class Precision(StrEnum):
    """The value of the environment variable DTYPE."""

    BF16 = "bf16"
    FP16 = "fp16"
    FP32 = "fp32"


def from_environment(environment: Mapping[str, str]) -> Precision:
    """What DTYPE asks for, bf16 unless it says otherwise; raises UserError if it says nonsense."""
    written = environment.get("DTYPE") or Precision.BF16
    try:
        precision = Precision(written)
    except ValueError as error:
        advice = f"write {', '.join(Precision)}, or leave it out"
        raise UserError([Problem("DTYPE", f"'{written}' is no precision", advice)]) from error
    if precision is Precision.FP16:
        # Activations of this model pass the largest fp16 number.
        log.warning("DTYPE=fp16 gives black pictures with this model; bf16 does not")
    return precision

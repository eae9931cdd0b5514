"""The number format in which the model computes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum

from config.problems import Problem, UserError

log = logging.getLogger(__name__)
# Activations of this model pass the largest fp16 number.
FP16_CAUTION = "DTYPE=fp16 gives black pictures with this model"


class Precision(StrEnum):
    """The value of the environment variable DTYPE."""

    BF16 = "bf16"
    FP16 = "fp16"
    FP32 = "fp32"

    @property
    def item_bytes(self) -> int:
        """The size of one number."""
        return 4 if self is Precision.FP32 else 2


def asked_for(environment: Mapping[str, str]) -> Precision:
    """What DTYPE asks for, bf16 unless it says otherwise; raises UserError if it says nonsense."""
    written = environment.get("DTYPE") or Precision.BF16
    try:
        return Precision(written)
    except ValueError as error:
        advice = f"write {', '.join(Precision)}, or leave it out"
        raise UserError([Problem("DTYPE", f"'{written}' is no precision", advice)]) from error


def from_environment(environment: Mapping[str, str]) -> Precision:
    """The same, for a model that is about to be loaded: the log warns of fp16."""
    precision = asked_for(environment)
    if precision is Precision.FP16:
        log.warning("%s; bf16 does not", FP16_CAUTION)
    return precision

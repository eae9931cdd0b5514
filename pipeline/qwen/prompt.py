"""A prompt on its way into the model's template: its control tokens disarmed, its length known."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pipeline.editor import EditError, Failure

_PICTURE = "Picture {}: <|vision_start|><|image_pad|><|vision_end|>"


def disarm(prompt: str) -> str:
    """`<|im_end|>` becomes `<im_end>`: readable, and no control token of the model.

    Every control token that shapes the template is written `<|…|>`. One inside a prompt would
    end the instruction early or ask for a picture that is not there.
    """
    return re.sub(r"\|+>", ">", re.sub(r"<\|+", "<", prompt))


def wrap(template: str, prompt: str, *, numbered_pictures: int) -> str:
    """The text that the encoder reads: the model's template around pictures and prompt.

    The template of Edit holds its one picture itself, so that none is numbered; Plus numbers
    each of its pictures.
    """
    pictures = "".join(_PICTURE.format(number + 1) for number in range(numbered_pictures))
    return template.format(pictures + prompt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """How long a prompt is and may be, in tokens of the model."""

    tokens: int
    allowed: int


def check_length(length: Length, *, what: str) -> None:
    """Raise EditError unless the model's position table reaches to the end of the prompt."""
    if length.tokens <= length.allowed:
        return
    if length.allowed <= 0:
        cause = f"The picture is so large for this model that no room is left for a {what}."
        raise EditError(cause, "Write a smaller megapixels.", Failure.PERMANENT)
    cause = (
        f"The {what} is too long: {length.tokens} tokens, and the model takes {length.allowed} "
        "beside these pictures."
    )
    advice = f"Shorten the {what} (a token is about four English letters or one Chinese one)."
    raise EditError(cause, advice, Failure.PERMANENT)

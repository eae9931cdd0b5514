"""An editor without a model: every picture comes back unchanged, through the whole path."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence

from pipeline import editor
from pipeline.editor import (
    Done,
    EditRequest,
    EditResult,
    Failed,
    ModelFacts,
    OnEvent,
    Stage,
    StageName,
    Step,
)


class EchoEditor:
    """Shows that a hot folder works, on any machine, in milliseconds."""

    def describe(self) -> ModelFacts:
        """No model, any size."""
        return ModelFacts(
            path="",
            class_name="EchoEditor",
            fingerprint="echo",
            dtype="uint8",
            attention="none",
            is_compiled=False,
            weights="none",
            working_pixels=None,
            multiple=32,
            versions=(),
        )

    def edit(self, requests: Sequence[EditRequest], on_event: OnEvent) -> None:
        """Copy each request's first image to its result."""
        for request in requests:
            self._edit_one(request, on_event)

    def _edit_one(self, request: EditRequest, on_event: OnEvent) -> None:
        began = time.perf_counter()
        if request.request_id in on_event(Stage(request.request_id, StageName.DENOISE)):
            return
        try:
            shutil.copyfile(request.images[0], request.result)
        except OSError as error:
            if not editor.is_of_the_machine(error):
                raise
            on_event(Failed(request.request_id, editor.machine_error(error)))
            return
        if request.request_id in on_event(Step(request.request_id, 1, 1)):
            return
        result = EditResult(
            path=request.result,
            encode_seconds=0.0,
            denoise_seconds=time.perf_counter() - began,
            decode_seconds=0.0,
            peak_vram_gib=0.0,
        )
        on_event(Done(request.request_id, result))

    def close(self) -> None:
        """Nothing is held."""

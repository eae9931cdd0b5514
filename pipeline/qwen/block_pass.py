"""One passage of a model's blocks for several sequences together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch

from pipeline.editor import EditError
from pipeline.qwen import errors
from pipeline.qwen.weight_streaming import Loader

T = TypeVar("T")


def _nothing(_index: int) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockCall(Generic[T]):
    """A sequence: the model's own forward, asked for once for each stack and once more."""

    doing: str  # for messages: "computing step 3 of 10"
    forward: Callable[[], T]
    # Arguments that a block, by its number, is given in place of the forward's own.
    replaced: Callable[[int], Mapping[str, Any]] = _nothing
    eager: bool = False  # compiled blocks are to be computed as if they were not


@dataclass(slots=True)
class _Recording:
    """What the blocks were given for one sequence, and what came out of the last."""

    given: list[tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    state: tuple[torch.Tensor, ...] = ()
    is_complete: bool = False


class BlockStack:
    """The blocks of a model, which hand their results from one to the next."""

    def __init__(
        self,
        owner: torch.nn.Module,
        name: str,
        loader: Loader,
        *,
        carried: tuple[str, ...] = (),
    ) -> None:
        """`carried` names the arguments that are handed on; none means the first one.

        A block that hands several on returns them as a tuple in that order.
        """
        self.loader = loader
        self.blocks: Sequence[torch.nn.Module] = getattr(owner, name)
        self.recording: _Recording | None = None
        self._owner = owner
        self._name = name
        self._carried = carried
        doubles = [_StandIn(self, index) for index in range(len(self.blocks))]
        self._stand_ins = torch.nn.ModuleList(doubles)

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        """Within this context the model's forward meets stand-ins, which compute nothing."""
        setattr(self._owner, self._name, self._stand_ins)
        try:
            yield
        finally:
            setattr(self._owner, self._name, self.blocks)
            self.recording = None

    def meet(self, index: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the stand-in of a block answers, after it has noted what it was given."""
        state = self._handed_on(args, kwargs)
        recording = self.recording
        if recording is not None and recording.is_complete:
            state = recording.state if index == len(self.blocks) - 1 else state
        elif recording is not None:
            if index == 0:
                recording.state = state
            recording.given.append(self._others(args, kwargs))
        return state if self._carried else state[0]

    def compute(self, index: int, recording: _Recording, asked: BlockCall[Any]) -> None:
        """Let the real block take the sequence one block further."""
        args, recorded = recording.given[index]
        kwargs = {**recorded, **asked.replaced(index)}
        block = self.blocks[index]
        call = block.forward if asked.eager else block
        if self._carried:
            named = dict(zip(self._carried, recording.state, strict=True))
            recording.state = call(*args, **kwargs, **named)
        else:
            recording.state = (call(*recording.state, *args, **kwargs),)

    def _handed_on(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[torch.Tensor, ...]:
        return tuple(kwargs[name] for name in self._carried) if self._carried else args[:1]

    def _others(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if not self._carried:
            return args[1:], kwargs
        return args, {name: value for name, value in kwargs.items() if name not in self._carried}


class _StandIn(torch.nn.Module):  # type: ignore[misc] # torch is untyped here
    """Takes the place of a block."""

    def __init__(self, stack: BlockStack, index: int) -> None:
        super().__init__()
        self._stack = stack
        self._index = index

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the stack answers."""
        return self._stack.meet(self._index, args, kwargs)


class _Sequence(Generic[T]):
    """One sequence on its way through the stacks, until it ends or fails."""

    def __init__(self, call: BlockCall[T]) -> None:
        self._call = call
        self._tapes: dict[int, _Recording] = {}
        self.error: EditError | None = None

    def look_ahead(self, stacks: Sequence[BlockStack], number: int) -> None:
        """Note what the blocks of a stack will be given, those before being done."""
        self._tapes[number] = _Recording()
        self._run(lambda: self._forward(stacks))

    def compute(self, stack: BlockStack, number: int, index: int) -> None:
        """One block."""
        recording = self._tapes[number]
        self._run(lambda: stack.compute(index, recording, self._call))
        if index == len(stack.blocks) - 1:
            recording.given.clear()
            recording.is_complete = True

    def result(self, stacks: Sequence[BlockStack]) -> T | EditError:
        """What the forward returns now that all blocks are done."""
        found = self._run(lambda: self._forward(stacks))
        self._tapes.clear()
        if self.error is not None:
            return self.error
        assert found is not None
        return found

    def _forward(self, stacks: Sequence[BlockStack]) -> T:
        for number, stack in enumerate(stacks):
            stack.recording = self._tapes.get(number)
        return self._call.forward()

    def _run(self, work: Callable[[], T | None]) -> T | None:
        if self.error is None:
            try:
                with errors.mapped(self._call.doing):
                    return work()
            except EditError as error:
                self.error = errors.without_traceback(error)
                self._tapes = {number: _Recording() for number in self._tapes}
        return None


def run_blocks(stacks: Sequence[BlockStack], calls: Sequence[BlockCall[T]]) -> list[T | EditError]:
    """What each call's forward returns, block by block for all of them together.

    A block's weights are asked for once, whatever the number of calls. A sequence that fails
    leaves the others as they are. Raises what errors.mapped lets pass.
    """
    flights = [_Sequence(call) for call in calls]
    with ExitStack() as scenery:
        for stack in stacks:
            scenery.enter_context(stack.standing_in())
        for number, stack in enumerate(stacks):
            for flight in flights:
                flight.look_ahead(stacks, number)
            for index in range(len(stack.blocks)):
                stack.loader.acquire(index)
                for flight in flights:
                    flight.compute(stack, number, index)
                stack.loader.release(index)
        return [flight.result(stacks) for flight in flights]

"""What the model libraries bring along when they are imported: little that no edit uses.

They look for dozens of packages and import those that they find, and torch's compiler, and what
spreads a model over machines. That took three quarters of the time until the editor could load,
at every start; and a package that does not fit this torch kept it from starting at all.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

# The libraries import these where they are installed. Adapters, training, sound, video, charts,
# tables of data, other numbers' formats and code from the network: none is ours. Attention
# kernels (flash_attn, sageattention, xformers) are: the settings may name one.
# fmt: off
UNUSED_PACKAGES = (
    "auto_round", "av", "bitsandbytes", "compel", "deepspeed", "flashpack", "ftfy", "gguf",
    "imageio", "joblib", "kernels", "kornia", "librosa", "matplotlib", "modelopt", "nltk", "onnx",
    "onnxruntime", "optimum", "pandas", "peft", "pyarrow", "scipy", "sdnq", "sentencepiece",
    "sklearn", "soundfile", "tensorboard", "tensorflow", "timm", "torchao", "torchaudio",
    "torchsde", "torchvision", "wandb",
)
# fmt: on
# Importing one model of these imports all of them.
_FAMILIES = ("transformers", "autoencoders", "unets")
_COMPILER = "torch._dynamo"
# Whether a prompt has as many tokens of pictures as its pictures have parts: `PlainProcessor`
# sees to it, and to ask takes torch's symbolic algebra (sympy).
_NO_QUESTION_FOR_THE_COMPILER = "TRANSFORMERS_DISABLE_TORCH_CHECK"


@contextmanager
def limited(*, compiles: bool) -> Iterator[None]:
    """Within it the model libraries are imported, without what no edit uses.

    The packages stay absent for good, unless they are there already. With `compiles` the
    libraries see torch whole, as its compiler looks at the rest of it when it is imported.
    """
    for name in UNUSED_PACKAGES:
        # None is what the import system takes for "not there" (importlib.util.find_spec too).
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    os.environ[_NO_QUESTION_FOR_THE_COMPILER] = "1"
    with _without_collecting(), _without_names_of_distributions():
        if compiles:
            _defer_families()
            yield
        else:
            with _in_one_process(), _uncompiled():
                _defer_families()
                yield


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Nothing of what is imported is garbage, and looking for it took an eighth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _without_names_of_distributions() -> Iterator[None]:
    """Which distribution each package is of: to know, all files installed would be looked at.

    The libraries then look a distribution up by its package's name, which is right for all that
    an edit uses.
    """
    with _replaced(importlib.metadata, "packages_distributions", dict):
        yield


@contextmanager
def _in_one_process() -> Iterator[None]:
    """The libraries do without torch.distributed, as on a torch that was built without it."""
    distributed = importlib.import_module("torch.distributed")
    with _replaced(distributed, "is_available", lambda: False):
        yield


@contextmanager
def _replaced(module: ModuleType, name: str, value: object) -> Iterator[None]:
    real = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, real)


def _defer_families() -> None:
    """Let diffusers' packages of models import the others when one of them is asked for."""
    models = importlib.import_module("diffusers.models")
    for family in _FAMILIES:
        if package := _unexecuted(f"{models.__name__}.{family}", _DeferredPackage):
            setattr(models, family, package)


def _unexecuted(name: str, kind: type[ModuleType]) -> ModuleType | None:
    """Put a module whose code has not run where an import finds it; None if one is there."""
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None:
        return None
    module = importlib.util.module_from_spec(spec)
    module.__class__ = kind
    sys.modules[name] = module
    return module


class _DeferredPackage(ModuleType):
    """A package whose own code runs when something is asked of it that it does not hold yet."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


@contextmanager
def _uncompiled() -> Iterator[None]:
    """Torch's compiler is imported when something is asked of it that needs it, and not before.

    What is imported here finds a stand-in, what looks at `torch._dynamo` later too; an import
    of it later brings the real one.
    """
    torch = importlib.import_module("torch")
    stand_in = _unexecuted(_COMPILER, _CompilerStandIn)
    if stand_in is None:
        yield
        return
    vars(stand_in).update(_WHILE_NOTHING_IS_COMPILED)
    vars(torch)["_dynamo"] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(_COMPILER) is stand_in:
            del sys.modules[_COMPILER]


class _CompilerStandIn(ModuleType):
    """Answers for torch._dynamo as far as `_WHILE_NOTHING_IS_COMPILED`; else brings it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(_COMPILER) is self:
            del sys.modules[_COMPILER]
        # The import puts it in the stand-in's place in torch, too.
        return getattr(importlib.import_module(_COMPILER), name)


class _CompiledModule:
    """What nothing is an instance of."""


def _unmarked(function: Callable[..., Any] | None = None, **_: object) -> Any:
    """For decorators that tell the compiler how to treat a function."""
    return _unmarked if function is None else function


_WHILE_NOTHING_IS_COMPILED: Mapping[str, Any] = {
    "allow_in_graph": _unmarked,
    "assume_constant_result": _unmarked,
    "disable": lambda function=None, *_, **__: _unmarked(function),
    "eval_frame": SimpleNamespace(OptimizedModule=_CompiledModule),
    "is_compiling": lambda: False,
}

"""Compiling functions with torch's compiler, with a cache on disk.

Compiled code adds in another order than eager code, so figures differ in their last digits: use one of the two for
all figures that are to be compared.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from trainer.errors import CompilerError

# Programs of one function in a process: a recipe has two, with guidance and without. Torch's own limit of 8 is for
# functions recompiled by mistake; beyond the limit we raise an error, where torch would fall back to eager code.
PROGRAMS = 64

Result = TypeVar("Result")


def use_cache(folder: Path) -> None:
    """Cache compiled code in a folder, which other processes on the same kind of processor share."""
    # Torch's own cache key leaves out the processor's vector width, and code for another width would be wrong.
    kind = f"{platform.machine()}-{torch.backends.cpu.get_cpu_capability()}-{torch.__version__}".lower()
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder / "compiled" / kind)


def has_compiler() -> bool:
    """Whether there is a C++ compiler where torch looks for one."""
    return shutil.which(os.environ.get("CXX") or ("clang++" if platform.system() == "Darwin" else "g++")) is not None


def compiled(function: Callable[..., Result]) -> Callable[..., Result]:
    """Return a function that is compiled at its first call for each shape of its arguments, seconds to minutes.

    It raises CompilerError where that fails, and never runs as eager code instead.
    """
    from torch._dynamo import config
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
    from torch._inductor import config as inductor

    config.recompile_limit = PROGRAMS
    inductor.compile_threads = 1  # else a pool of processes is started in every worker
    program = torch.compile(function, fullgraph=True, dynamic=False)

    def call(*arguments: object) -> Result:
        try:
            return program(*arguments)
        except (TorchDynamoException, FailOnRecompileLimitHit) as error:
            said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise CompilerError(f"torch cannot compile the network: {said}") from error

    return call

"""A user's own torch module as a backbone: its parameters in the flat buffer, outputs of its sub-modules as taps.

The module is called with views of the buffer in the place of its parameters, and under `torch.vmap` for several lanes.

Shapes: K lanes, B batch, N tokens, D width
"""

from __future__ import annotations

import hashlib
import importlib
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from trainer.backbones.flat_parameters import flatten, named_weights
from trainer.backbones.protocol import NOBODY, Conditioning, Layout, Output, Slot, TapShape
from trainer.recipe import ModuleRecipe
from trainer.recipe.objective import Demands
from trainer.runtime.paths import located

HOME = Path(__file__).resolve().parents[2]
OURS = (HOME / "trainer", HOME / "sweeper")
PACKAGES = (
    *OURS,
    Path(torch.__file__).parent,
    Path(importlib.__file__).parent,
)  # whose lines are no part of a user's code
RANDOM = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
STATEFUL = (nn.modules.batchnorm._BatchNorm,)
FACTORS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


class TapError(ValueError):
    """A tap of a user's module gives nothing that a loss can use."""


class WrappedModule:
    """The module that a factory makes: it takes images [B, C, H, W], times [B] and labels [B], and predicts an image.

    For an objective with intervals it takes their ends [B] too; for one with a variance it predicts twice the channels.
    A tap's output is [B, N, D], or a feature map [B, D, H, W] whose pixels are the tokens.
    """

    def __init__(
        self,
        model: ModuleRecipe,
        shape: tuple[int, int, int],
        classes: int,
        device: torch.device,
        demands: Demands = Demands(),  # noqa: B008 - immutable
    ) -> None:
        """Raise ValueError for code that cannot be imported or is no such module; `shape` is (C, H, W)."""
        self._demands = demands
        self.recipe, self.shape, self.classes, self.taps = model, shape, classes, model.taps
        self._module = self._made().to(device).requires_grad_(False)
        self._buffers = dict(self._module.named_buffers())
        owners = {
            f"{name}.{own}".lstrip("."): module for name, module in self._module.named_modules() for own in _own(module)
        }
        self.layout: Layout = {
            name: Slot(tuple(weight.shape), isinstance(owners[name], FACTORS), (_tap_of(name, model.taps),))
            for name, weight in self._module.named_parameters()
        }
        self.tap_shapes = self._try(device)
        self.source_sha256 = _source_sha256(located(model.path).resolve())

    def initial_weights(self, generator: torch.Generator) -> Tensor:
        """Return one lane's weights [P], as the module initialises itself."""
        seed = int(torch.randint(2**63 - 1, (), generator=generator))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self._made()
        return flatten({name: weight.detach().float() for name, weight in module.named_parameters()}, self.layout)

    def __call__(
        self, weights: Mapping[str, Tensor], x_KBCHW: Tensor, condition: Conditioning, taps: Collection[int] = ()
    ) -> Output:
        """Return the module's prediction."""
        wanted = sorted(taps)

        def one_lane(weights: dict[str, Tensor], x: Tensor, *conditions: Tensor) -> tuple[Tensor, list[Tensor]]:
            return self._call(weights, x, conditions, wanted)

        named = {name: weights[name] for name in self.layout}
        conditions = [part for part in (condition.time, condition.label, condition.until) if part is not None]
        if len(x_KBCHW) == 1:  # vmap has overhead
            first = {name: weight[0] for name, weight in named.items()}
            prediction, tapped = one_lane(first, x_KBCHW[0], *(part[0] for part in conditions))
            prediction, tapped = prediction[None], [part[None] for part in tapped]
        else:
            prediction, tapped = torch.vmap(one_lane)(named, x_KBCHW, *conditions)
        return Output(prediction, dict(zip(wanted, tapped, strict=True)))

    def walk(self, weights: Mapping[str, Tensor], x_KBCHW: Tensor, condition: Conditioning) -> Iterator[Tensor]:
        """Yield the taps' outputs in turn; all of them are in memory meanwhile."""
        tapped = self(weights, x_KBCHW, condition, range(len(self.taps))).taps
        return (tapped[tap] for tap in range(len(self.taps)))

    def state_dict(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return one lane's weights under the module's own names."""
        return {name: weights[name].contiguous() for name in self.layout}

    def from_state_dict(self, state: Mapping[str, Tensor], place: str) -> Tensor:
        """Return one lane's weights [P]; raise DataError where they are another module's."""
        return flatten(named_weights(state, self.layout, place), self.layout)

    def _made(self) -> nn.Module:
        factory = _factory(self.recipe)
        try:
            module = factory(shape=self.shape, classes=self.classes, **self.recipe.arguments)
        except Exception as error:  # a user's code
            raise ValueError(f"{self.recipe.factory}: {_described(error, self.recipe)}") from error
        if not isinstance(module, nn.Module):
            raise ValueError(f"{self.recipe.factory} returns a {type(module).__name__}, not a torch.nn.Module")
        for name, part in module.named_modules():
            if isinstance(part, STATEFUL) or (isinstance(part, RANDOM) and part.p > 0):
                raise ValueError(
                    f"{self.recipe.factory}: {name} is a {type(part).__name__}; a step must be a function "
                    "of weights and batch alone, without running statistics or dropout"
                )
        if unknown := [tap for tap in self.taps if tap not in dict(module.named_modules())]:
            raise ValueError(f"{self.recipe.factory}: taps names {unknown[0]!r}, which is not a sub-module")
        return module

    def _call(
        self, weights: Mapping[str, Tensor], x: Tensor, conditions: Sequence[Tensor], taps: Collection[int]
    ) -> tuple[Tensor, list[Tensor]]:
        outputs: dict[int, Tensor] = {}
        hooks = [self._module.get_submodule(self.taps[tap]).register_forward_hook(_keep(outputs, tap)) for tap in taps]
        try:
            prediction = torch.func.functional_call(self._module, {**weights, **self._buffers}, (x, *conditions))
        finally:
            for hook in hooks:
                hook.remove()
        return prediction, [self._tokens(outputs, tap) for tap in taps]

    def _tokens(self, outputs: Mapping[int, Any], tap: int) -> Tensor:
        if tap not in outputs:
            raise TapError(f"{self.recipe.factory}: tap {self.taps[tap]!r} is not called, so it has no output")
        return _as_tokens(outputs[tap], self.taps[tap])

    def _given(self) -> str:
        return (
            f" with images of {[*self.shape]}, times in [0, 1] and labels 0 to {self.classes}, {self.classes} for none"
        )

    def _try(self, device: torch.device) -> tuple[TapShape, ...]:
        """Call the module once, with two images; return its taps' shapes."""
        x, time = torch.zeros(2, *self.shape, device=device), torch.full((2,), 0.5, device=device)
        label = torch.full((2,), self.classes, device=device)
        conditions = (time, label, time) if self._demands.has_interval else (time, label)
        expected = (2, self._demands.outputs * self.shape[0], *self.shape[1:])
        weights = dict(self._module.named_parameters())
        try:
            prediction, tapped = self._call(weights, x, conditions, range(len(self.taps)))
        except TapError:
            raise
        except Exception as error:  # a user's code
            raise ValueError(
                f"{self.recipe.factory}: raises {_described(error, self.recipe)} when called{self._given()}"
            ) from error
        if not isinstance(prediction, Tensor):
            kind = type(prediction).__name__
            raise ValueError(f"{self.recipe.factory} returns a {kind}, not a tensor; return the prediction alone")
        if prediction.shape != expected:
            wants = "" if expected == x.shape else f", where {[*expected]} is expected"
            raise ValueError(f"{self.recipe.factory} predicts {[*prediction.shape]} for images {[*x.shape]}{wants}")
        if not bool(torch.isfinite(prediction).all()):
            raise ValueError(f"{self.recipe.factory} predicts values that are not finite when called{self._given()}")
        return tuple(TapShape(*part.shape[1:]) for part in tapped)


def _source_sha256(root: Path) -> str:
    """Return a hash of a user's Python files below a folder, of those that were imported."""
    # An environment inside the folder, and this package's own checkout, are no part of a user's code.
    others = [Path(entry).resolve() for entry in sys.path]
    others = [other for other in others if other != root and other.is_relative_to(root)] + [*OURS]
    files = {Path(file) for module in [*sys.modules.values()] if (file := getattr(module, "__file__", None))}
    own = {file.resolve() for file in files if file.suffix == ".py" and file.is_file()}
    digest = hashlib.sha256()
    for file in sorted(file for file in own if file.is_relative_to(root)):
        if not any(file.is_relative_to(other) for other in others):
            digest.update(f"{file.relative_to(root).as_posix()}\n".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _factory(recipe: ModuleRecipe) -> Callable[..., object]:
    name, _, function = recipe.factory.partition(":")
    folder = located(recipe.path).resolve()
    if not folder.is_dir():
        raise ValueError(f"{recipe.path} is no folder in {Path.cwd()}; recipe.model.path is where the code lies")
    root = str(folder)
    if root not in sys.path:
        sys.path.append(root)  # last: a user's trainer.py must not be taken for ours
    try:
        return cast("Callable[..., object]", getattr(importlib.import_module(name), function))
    except Exception as error:  # a user's code
        raise ValueError(
            f"{recipe.factory} cannot be imported from {recipe.path}: {_described(error, recipe)}"
        ) from error


def _tap_of(parameter: str, taps: Sequence[str]) -> int:
    """Return the tap in whose sub-module a parameter lies, the innermost of several; NOBODY where it lies in none."""
    around = [tap for tap in taps if parameter.startswith(f"{tap}.")]
    return taps.index(max(around, key=len)) if around else NOBODY


def _own(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_parameters(recurse=False)]


def _keep(outputs: dict[int, Tensor], tap: int) -> Callable[[nn.Module, Any, Any], None]:
    def hook(_module: nn.Module, _given: Any, output: Any) -> None:
        outputs[tap] = output

    return hook


def _described(error: Exception, recipe: ModuleRecipe) -> str:
    """Name an error of a user's code, and the line of theirs that it came from: below their folder, if there is one."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<")]
    others = [frame for frame in frames if not any(Path(frame.filename).is_relative_to(other) for other in PACKAGES)]
    root = located(recipe.path).resolve()
    theirs = [
        frame for frame in others if Path(frame.filename).is_relative_to(root) and "site-packages" not in frame.filename
    ]
    theirs = theirs or others
    where = f" ({theirs[-1].filename}, line {theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {error}{where}"


def _as_tokens(output: Any, tap: str) -> Tensor:
    if not isinstance(output, Tensor) or output.ndim not in (3, 4):
        shown = f"is {[*output.shape]}" if isinstance(output, Tensor) else f"is a {type(output).__name__}"
        raise TapError(f"the output of tap {tap!r} must be [B, N, D] or [B, D, H, W], and {shown}")
    return output if output.ndim == 3 else output.flatten(2).transpose(1, 2)

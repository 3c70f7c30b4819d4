"""Our SiT and DiT beside the public ones on copied weights: predictions, losses, guidance and samplers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from tests.benchmarks.public_rows import (
    BATCH,
    CLASSES,
    SIZES,
    Noises,
    Row,
    apart,
    batch,
    modules,
    randomise,
    with_their_weights,
)
from trainer.backbones.protocol import Conditioning, Network
from trainer.objectives.classifier_free_guidance import guided
from trainer.objectives.diffusion import Diffusion
from trainer.objectives.interpolant import Interpolant
from trainer.recipe import DiffusionRecipe, EvalRecipe, InterpolantRecipe
from trainer.recipe.objective import Demands

SCALE, STEPS = 4.0, 10
PATHS = {"linear": "Linear", "gvp": "GVP"}


def sit_rows(checkout: Path | None) -> Iterator[Row]:
    """Compare with willisma/SiT, which embeds times as they are, from 0 to 1."""
    names = ("models", "transport")
    models, transport = modules(checkout, names, ("timm", "torchdiffeq"))
    public = randomise(models.SiT(**SIZES, learn_sigma=True))
    network = with_their_weights(public.state_dict(), 1.0, Demands())
    for path in PATHS:
        for predicts in ("velocity", "noise", "score"):
            yield from _sit_learning(transport, public, network, path, predicts)
    yield Row("SiT", "forward_with_cfg, cfg_channels public", _guidance(public, network, 0.3, 0.3))
    for path in PATHS:
        yield from _sit_sampling(transport, public, network, path)


def _sit_learning(
    transport: ModuleType, public: torch.nn.Module, network: Network, path: str, predicts: str
) -> Iterator[Row]:
    given, labels = batch(), batch().labels
    theirs = transport.create_transport(PATHS[path], predicts)
    torch.manual_seed(0)
    terms = theirs.training_losses(public, given.images, {"y": labels})
    torch.manual_seed(0)
    noise, time = torch.randn_like(given.images), torch.rand(BATCH)
    objective = Interpolant(InterpolantRecipe(path=path, predicts=predicts))
    draws = {"noise": noise[None], "time": time[None]}
    seen, conditioning = objective.seen(given.images[None], labels[None], draws)
    yield Row("SiT", f"{predicts}, {path}: prediction", apart(network(seen, conditioning).prediction[0], terms["pred"]))
    loss = objective.loss(network, given.images[None], labels[None], draws, ()).loss
    yield Row("SiT", f"{predicts}, {path}: loss", apart(loss, terms["loss"].mean()[None]))
    at = 0.3
    ours = objective._velocity(guided(network, labels[None], EvalRecipe()), given.noise[None], at)[0]
    drift = theirs.get_drift()(given.noise, torch.full((BATCH,), at), public, y=labels)
    yield Row("SiT", f"{predicts}, {path}: velocity at {at}", apart(ours, drift))


def _sit_sampling(transport: ModuleType, public: torch.nn.Module, network: Network, path: str) -> Iterator[Row]:
    given = batch()
    sampler = transport.Sampler(transport.create_transport(PATHS[path], "velocity"))
    objective = Interpolant(InterpolantRecipe(path=path))

    def ours(solver: str, noises: dict[int, Tensor]) -> Tensor:
        evaluation = EvalRecipe(nfe=STEPS, solver=solver)
        return objective.sample(network, given.noise[None], given.labels[None], evaluation, Noises(noises))[0]

    # Its n times are n - 1 steps.
    ode = sampler.sample_ode(sampling_method="euler", num_steps=STEPS + 1)
    theirs = ode(given.noise, public.forward, y=given.labels)[-1]
    yield Row("SiT", f"velocity, {path}: {STEPS} Euler steps", apart(ours("euler", {}), theirs))
    torch.manual_seed(0)
    sde = sampler.sample_sde(diffusion_form="sigma", last_step_size=1 / STEPS, num_steps=STEPS)
    theirs = sde(given.noise, public.forward, y=given.labels)[-1]
    torch.manual_seed(0)
    noises = {step: torch.randn_like(given.noise) for step in range(STEPS - 1)}
    yield Row("SiT", f"velocity, {path}: {STEPS} SDE steps", apart(ours("euler_maruyama", noises), theirs))


def _guidance(public: Any, network: Network, time: float, their_time: float) -> float:
    """Return how far guided predictions are apart."""
    given = batch()
    evaluation = EvalRecipe(cfg=SCALE, cfg_channels="public")
    ours = guided(network, given.labels[None], evaluation)(given.noise[None], time)[0]
    both, labels = given.noise.repeat(2, 1, 1, 1), torch.cat([given.labels, torch.full_like(given.labels, CLASSES)])
    with torch.no_grad():
        theirs = public.forward_with_cfg(both, torch.full((2 * BATCH,), their_time), labels, SCALE)[:BATCH]
    return apart(ours, theirs)


def dit_rows(checkout: Path | None) -> Iterator[Row]:
    """Compare with facebookresearch/DiT, which embeds steps 0 to 999."""
    models, diffusion = modules(checkout, ("models", "diffusion"), ("timm",))
    for learned in (True, False):
        public = randomise(models.DiT(**SIZES, learn_sigma=learned))
        recipe = DiffusionRecipe(kind="diffusion", learned_variance=learned)
        network = with_their_weights(public.state_dict(), 1000.0, recipe.demands)
        kind = "learned variance" if learned else "fixed variance"
        for row in _dit_learning(diffusion, public, network, recipe):
            yield row._replace(what=f"{kind}: {row.what}")
        yield Row("DiT", f"{kind}: forward_with_cfg, cfg_channels public", _guidance(public, network, 0.3, 300))
        for row in _dit_sampling(diffusion, public, network, recipe):
            yield row._replace(what=f"{kind}: {row.what}")


def _dit_learning(
    diffusion: ModuleType, public: torch.nn.Module, network: Network, recipe: DiffusionRecipe
) -> Iterator[Row]:
    given = batch()
    step = torch.tensor([0, 1, 2, 50, 333, 573, 998, 999])
    with torch.no_grad():
        theirs = public(given.noise, step, given.labels)
    ours = network(given.noise[None], Conditioning(step[None] / recipe.steps, given.labels[None])).prediction[0]
    yield Row("DiT", "prediction", apart(ours, theirs))
    process = diffusion.create_diffusion("", learn_sigma=recipe.learned_variance)
    terms = process.training_losses(public, given.images, step, {"y": given.labels}, given.noise)
    draws = {"noise": given.noise[None], "time": (step[None] + 0.5) / recipe.steps}
    learning = Diffusion(recipe).loss(network, given.images[None], given.labels[None], draws, ())
    yield Row("DiT", "loss", apart(learning.loss, terms["loss"].mean()[None]))
    for name, key in (("train_loss", "mse"), ("variance_loss", "vb")):
        if key in terms:
            yield Row("DiT", f"loss, its {key} term", apart(learning.recorded[name], terms[key].mean()[None]))


def _dit_sampling(
    diffusion: ModuleType, public: torch.nn.Module, network: Network, recipe: DiffusionRecipe
) -> Iterator[Row]:
    process = diffusion.create_diffusion(str(STEPS), learn_sigma=recipe.learned_variance)
    loops = {"ancestral": process.p_sample_loop, "ddim": process.ddim_sample_loop}
    for solver, loop in loops.items():
        for clip in (False, True):
            what = f"{STEPS} {solver} steps{', clipped' if clip else ''}"
            given, noises = batch(), _loop_noises(BATCH)
            evaluation = EvalRecipe(nfe=STEPS, solver=solver)
            torch.manual_seed(0)
            more = {"clip_denoised": clip, "model_kwargs": {"y": given.labels}, "device": "cpu"}
            theirs = loop(public.forward, given.noise.shape, given.noise, **more)
            objective = Diffusion(recipe.model_copy(update={"clip": clip}))
            ours = objective.sample(network, given.noise[None], given.labels[None], evaluation, Noises(noises))[0]
            yield Row("DiT", what, apart(ours, theirs))
    yield _dit_guided(process, public, network, recipe)


def _dit_guided(process: Any, public: Any, network: Network, recipe: DiffusionRecipe) -> Row:
    given = batch()
    torch.manual_seed(0)
    both, labels = given.noise.repeat(2, 1, 1, 1), torch.cat([given.labels, torch.full_like(given.labels, CLASSES)])
    more = {"clip_denoised": False, "model_kwargs": {"y": labels, "cfg_scale": SCALE}, "device": "cpu"}
    theirs = process.p_sample_loop(public.forward_with_cfg, both.shape, both, **more)[:BATCH]
    evaluation = EvalRecipe(nfe=STEPS, solver="ancestral", cfg=SCALE, cfg_channels="public")
    noises = Noises({step: noise[:BATCH] for step, noise in _loop_noises(2 * BATCH).items()})
    ours = Diffusion(recipe).sample(network, given.noise[None], given.labels[None], evaluation, noises)[0]
    return Row("DiT", f"{STEPS} guided ancestral steps", apart(ours, theirs))


def _loop_noises(count: int) -> dict[int, Tensor]:
    """Return each step's noise as a loop from the last step to the first draws it."""
    torch.manual_seed(0)
    return {step: torch.randn(count, *batch().noise.shape[1:]) for step in reversed(range(STEPS))}

"""Our MeanFlow beside two public ones on copied weights: the average velocity, the loss and samples."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from tests.benchmarks.public_rows import (
    BATCH,
    CHANNELS,
    CLASSES,
    SIDE,
    SIZES,
    Noises,
    Row,
    apart,
    batch,
    modules,
    our_model,
    randomise,
    with_their_weights,
)
from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Conditioning, Network
from trainer.backbones.public_sit import to_public
from trainer.objectives.mean_flow import MeanFlow
from trainer.recipe import EvalRecipe, MeanFlowRecipe
from trainer.recipe.objective import Demands

DEMANDS = Demands(has_interval=True)
GUIDED = {"no guidance": (1.0, 0.0), "omega 2": (2.0, 0.0), "omega 1.5, kappa 0.25": (1.5, 0.25)}
SHARE = 0.5  # of the batch, where JAX's loss is compared


def recipe(**more: object) -> MeanFlowRecipe:
    """Return a recipe with the published times."""
    return MeanFlowRecipe.model_validate({"kind": "mean_flow", **more})


def torch_rows(checkout: Path | None) -> Iterator[Row]:
    """Compare with zhuyu-cs/MeanFlow.

    Its adaptive weight is of the squared sum of squares, which is not the paper's; the plain sum is compared.
    """
    code = "MeanFlow (torch)"
    sit, loss, sampler = modules(checkout, ("sit", "loss", "meanflow_sampler"), ("timm",))
    sizes = {**SIZES, "decoder_hidden_size": SIZES["hidden_size"], "qk_norm": False, "fused_attn": False}
    public = randomise(sit.SiT(**sizes))
    state = {name.replace("r_embedder", "h_embedder"): tensor for name, tensor in public.state_dict().items()}
    network = with_their_weights(state, 1.0, DEMANDS)
    yield Row(code, "u", _average_velocity(network, lambda z, t, r, y: public(z, r, t, y)))
    for share in (0, 1):
        for name, (omega, kappa) in GUIDED.items():
            theirs = loss.SILoss(
                ratio_r_not_equal_t=1.0 - share, label_dropout_prob=0, cfg_omega=omega, cfg_kappa=kappa, cfg_max_t=1.0
            )
            own = recipe(power=0, instant_share=share, omega=omega, kappa=kappa)
            yield Row(code, f"loss, {name}, {'r = t' if share else 'r < t'}", _torch_loss(theirs, public, network, own))
    for nfe in (1, 2):
        given = batch()
        found = sampler.meanflow_sampler(public, given.noise, given.labels, num_steps=nfe)
        yield Row(code, f"samples in {nfe} NFE", apart(_samples(network, nfe), found))


def _average_velocity(network: Network, public: Any) -> float:
    given, t = batch(), torch.linspace(0.05, 1, BATCH)
    r = t * torch.linspace(0, 1, BATCH)
    with torch.no_grad():
        theirs = public(given.noise, t, r, given.labels)
    return apart(network(given.noise[None], Conditioning(t[None], given.labels[None], r[None])).prediction[0], theirs)


def _samples(network: Network, nfe: int) -> Tensor:
    given = batch()
    flow = MeanFlow(recipe())
    return flow.sample(network, given.noise[None], given.labels[None], EvalRecipe(nfe=nfe), Noises({}))[0]


def _torch_loss(public: Any, model: torch.nn.Module, network: Network, own: MeanFlowRecipe) -> float:
    given = batch()
    torch.manual_seed(0)
    # It looks for the number of classes in a wrapped model's module.
    theirs, _ = public(torch.nn.DataParallel(model), given.images, {"y": given.labels})
    torch.manual_seed(0)
    normal, _, noise = torch.randn(BATCH, 2), torch.rand(BATCH), torch.randn_like(given.images)
    return apart(_our_loss(network, own, normal, noise, given.labels), theirs.mean()[None])


def _our_loss(network: Network, own: MeanFlowRecipe, normal: Tensor, noise: Tensor, labels: Tensor) -> Tensor:
    time, other = torch.special.ndtr(normal.double()).T
    draws = {"noise": noise[None], "time": time[None], "other_time": other[None]}
    flow = MeanFlow(own)
    # Times from uniform numbers in double precision, then as theirs: ours come from those by their quantiles.
    with mock.patch.object(flow, "_times", lambda uniform: MeanFlow._times(flow, uniform).float()):
        return flow.loss(network, batch().images[None], labels[None], draws, ()).loss


def jax_rows(checkout: Path | None) -> Iterator[Row]:
    """Compare with Gsunshine/meanflow, whose images have their channels last."""
    code = "MeanFlow (JAX)"
    meanflow, models = modules(checkout, ("meanflow", "models.models_dit"), ("jax", "flax"))
    import jax

    models.OfOurSize = partial(models.DiT, **SIZES)
    random = torch.Generator().manual_seed(1)
    ours = our_model(1.0, DEMANDS)
    size = sum(int(np.prod(slot.shape)) for slot in ours.layout.values())
    weights = views(torch.randn(1, size, generator=random).mul_(0.1), ours.layout)
    network = Network(ours, weights)
    public = meanflow.MeanFlow(model_str="OfOurSize", model_config={}, num_classes=CLASSES, kappa=0.0)
    image = np.zeros((1, SIDE, SIDE, CHANNELS), np.float32)
    empty = public.init({"params": jax.random.key(0), "gen": jax.random.key(0)}, image, np.ones(1), np.zeros(1, int))
    state = to_public(ours, {name: weight[0] for name, weight in weights.items()})
    params = jax.tree_util.tree_map_with_path(partial(_their_weight, state), empty)

    def average(z: Tensor, t: Tensor, r: Tensor, y: Tensor) -> Tensor:
        arrays = (_last(z), t.numpy(), (t - r).numpy(), y.numpy())
        return _first(public.apply(params, *arrays, method="u_fn", rngs={"gen": jax.random.key(0)}))

    yield Row(code, "u", _average_velocity(network, average))
    for name, (omega, kappa) in GUIDED.items():
        public = public.clone(omega=omega, kappa=kappa, data_proportion=SHARE)
        own = recipe(omega=omega, kappa=kappa, instant_share=SHARE)
        yield Row(code, f"adaptive loss, {name}", _jax_loss(public, params, network, own))
    for nfe in (1, 2):
        z, ends = batch().noise, torch.linspace(1, 0, nfe + 1)
        for t, r in itertools.pairwise(ends):
            z = z - (t - r) * average(z, t.repeat(BATCH), r.repeat(BATCH), batch().labels)
        yield Row(code, f"samples in {nfe} NFE", apart(_samples(network, nfe), z))


def _their_weight(state: Mapping[str, Tensor], path: Any, empty: Any) -> np.ndarray:
    """Return the weight of a place in flax's tree: named as torch's, with a product's inputs first."""
    keys = [str(key.key).removeprefix("layers_") for key in path]
    last = {"kernel": "weight", "embedding": "weight"}.get(keys[-1], keys[-1])
    name = ".".join([key for key in keys[2:-1] if not key.startswith("_flax")] + [last])
    tensor = state[name]
    if keys[-1] == "kernel":
        tensor = tensor.permute(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T
    if tensor.shape != empty.shape:
        raise ValueError(f"{name} is {list(tensor.shape)}, theirs {list(empty.shape)}")
    return tensor.contiguous().numpy()


def _jax_loss(public: Any, params: Any, network: Network, own: MeanFlowRecipe) -> float:
    import jax

    given = batch()
    random = torch.Generator().manual_seed(2)
    normal = torch.randn(BATCH, 2, generator=random)
    prepared = {(BATCH, 1, 1, 1): [column.view(BATCH, 1, 1, 1).numpy() for column in normal.T]}
    prepared[BATCH, SIDE, SIDE, CHANNELS] = [_last(given.noise)]
    # Two of eight labels are dropped, and it drops the first.
    prepared[(BATCH,)] = [np.array([0.0, 0.0] + [1.0] * (BATCH - 2))]

    def drawn(_key: Any, shape: Any, dtype: Any = None, *_bounds: Any) -> Any:
        # Flax asks for initial weights too, of which it looks at the shape alone.
        mine = prepared.get(tuple(shape))
        return jax.numpy.asarray(mine.pop(0)) if mine else jax.numpy.zeros(shape, dtype)

    with mock.patch("jax.random.normal", drawn), mock.patch("jax.random.uniform", drawn):
        rngs = {"gen": jax.random.key(0)}
        loss, _ = public.apply(params, _last(given.images), given.labels.numpy(), method="forward", rngs=rngs)
    labels = torch.where(torch.arange(BATCH) < 2, CLASSES, given.labels)
    return apart(_our_loss(network, own, normal, given.noise, labels), torch.tensor([float(loss)]))


def _last(images: Tensor) -> np.ndarray:
    return images.permute(0, 2, 3, 1).contiguous().numpy()


def _first(images: Any) -> Tensor:
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)

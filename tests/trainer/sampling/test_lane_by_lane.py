"""Samples by compiled code and in bfloat16. A tiny network compiles in seconds, where there is a compiler."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Conditioning, Network
from trainer.backbones.sit import SiT
from trainer.errors import CompilerError
from trainer.objectives.interpolant import Interpolant
from trainer.objectives.mean_flow import MeanFlow
from trainer.recipe import EvalRecipe, MeanFlowRecipe, SiTRecipe
from trainer.recipe.objective import Demands
from trainer.rng.streams import Stream, generator
from trainer.runtime.compiler import has_compiler, use_cache
from trainer.sampling.lane_by_lane import LaneByLane
from trainer.sampling.samples import samples

CPU = torch.device("cpu")
MODEL = SiT(SiTRecipe(width=16, depth=1, heads=2), (1, 4, 4), 3, 1000.0, CPU)
EAGER = EvalRecipe(samples=20, batch=8, nfe=2)
COMPILED = EAGER.model_copy(update={"compile": "on"})
LOW = EAGER.model_copy(update={"precision": "bf16"})
COMPILED_LOW = COMPILED.model_copy(update={"precision": "bf16"})
with_compiler = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")
ONE_BY_ONE = [pytest.param(COMPILED, marks=with_compiler), LOW, pytest.param(COMPILED_LOW, marks=with_compiler)]


class Noting:
    """A backbone that notes the weights it is called with."""

    def __init__(self, model: SiT, seen: list[Mapping[str, torch.Tensor]]) -> None:
        self._model, self._seen, self.layout = model, seen, model.layout

    def __call__(self, weights, x, given, taps=()):
        self._seen.append(weights)
        return self._model(weights, x, given, taps)


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory):
    """Keep what is compiled for these tests, and no longer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", "")
        use_cache(tmp_path_factory.mktemp("cache"))
        yield


def network(lanes: int, model: SiT = MODEL) -> Network:
    flat = torch.stack([model.initial_weights(generator(lane, Stream.INIT)) for lane in range(lanes)])
    flat += 0.1 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    return Network(model, views(flat, model.layout))


def drawn(recipe: EvalRecipe, lanes: Network, until: int | None = None, first: int = 0) -> torch.Tensor:
    seeds = list(range(lanes.lanes))
    parts = samples(lanes, Interpolant(), recipe, seeds, first=first, until=until)
    return torch.cat([images for _, images in parts], dim=1)


@with_compiler
def test_compiled_samples_are_the_eager_ones_to_rounding():
    lanes = network(2)
    with torch.no_grad():
        expected = drawn(EAGER, lanes)
    torch.testing.assert_close(drawn(COMPILED, lanes), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("recipe", ONE_BY_ONE)
def test_a_lanes_samples_are_those_it_has_alone_bit_for_bit(recipe):
    lanes = network(3)
    together = drawn(recipe, lanes)
    for lane in range(lanes.lanes):
        alone = Network(MODEL, {name: weight[lane : lane + 1].clone() for name, weight in lanes.weights.items()})
        parts = samples(alone, Interpolant(), recipe, [lane])
        assert torch.equal(torch.cat([images for _, images in parts], dim=1), together[lane : lane + 1])


@pytest.mark.parametrize("recipe", ONE_BY_ONE)
@pytest.mark.parametrize(("first", "until"), [(0, 3), (5, 13), (16, 20)])
def test_samples_do_not_depend_on_how_many_are_drawn(recipe, first, until):
    lanes = network(1)
    assert torch.equal(drawn(recipe, lanes, until, first), drawn(recipe, lanes)[:, first:until])


@with_compiler
@pytest.mark.parametrize("recipe", [COMPILED, COMPILED_LOW])
def test_a_process_that_takes_the_code_from_disk_draws_the_same_bit_for_bit(recipe):
    lanes = network(1)
    first = drawn(recipe, lanes)
    torch._dynamo.reset()
    assert torch.equal(drawn(recipe, lanes), first)


@pytest.mark.parametrize("recipe", [LOW, pytest.param(COMPILED_LOW, marks=with_compiler)])
def test_samples_in_bfloat16_are_others_by_its_rounding_and_their_sum_over_steps_is_float32(recipe):
    lanes = network(2)
    with torch.no_grad():
        expected = drawn(EAGER, lanes)
    low = drawn(recipe, lanes)
    assert low.dtype == torch.float32
    assert not torch.equal(low, low.bfloat16().float())
    assert 1e-5 < float((low - expected).abs().max()) < 0.05


def test_only_what_blocks_multiply_is_rounded_and_the_weights_that_are_kept_are_not():
    seen, lanes = [], network(2)
    before = {name: weight.clone() for name, weight in lanes.weights.items()}
    wrapped = Network(Noting(MODEL, seen), lanes.weights)
    LaneByLane(wrapped, compile=False, low=True)(
        torch.zeros(2, 5, 1, 4, 4), Conditioning(torch.zeros(2, 5), torch.zeros(2, 5, dtype=torch.long))
    )
    assert len(seen) == lanes.lanes
    for weights in seen:
        low = {name for name, weight in weights.items() if weight.dtype == torch.bfloat16}
        assert low == {name for name in MODEL.layout if name.startswith("0.")}
    assert all(torch.equal(before[name], weight) for name, weight in lanes.weights.items())


@with_compiler
def test_guided_samples_and_those_of_an_average_velocity_compile_too():
    lanes = network(1)
    guided = {"cfg": 2.0, "cfg_interval": (0.5, 1.0)}
    with torch.no_grad():
        expected = drawn(EAGER.model_copy(update=guided), lanes)
    torch.testing.assert_close(drawn(COMPILED.model_copy(update=guided), lanes), expected, rtol=1e-5, atol=1e-5)
    model = SiT(SiTRecipe(width=16, depth=1, heads=2), (1, 4, 4), 3, 1000.0, CPU, Demands(has_interval=True))
    flow, lane = MeanFlow(MeanFlowRecipe(kind="mean_flow")), network(1, model)
    with torch.no_grad():
        eager, by_code = (next(samples(lane, flow, recipe, [0]))[1] for recipe in (EAGER, COMPILED))
    torch.testing.assert_close(by_code, eager, rtol=1e-5, atol=1e-5)


@with_compiler
def test_another_network_of_the_same_sizes_is_not_compiled_again():
    from torch._dynamo.utils import counters

    drawn(COMPILED, network(1))
    graphs = counters["stats"]["unique_graphs"]
    again = SiT(SiTRecipe(width=16, depth=1, heads=2), (1, 4, 4), 3, 1000.0, CPU)
    drawn(COMPILED, network(3, again))
    assert counters["stats"]["unique_graphs"] == graphs > 0


def test_without_a_compiler_samples_are_not_drawn_by_other_code_and_one_line_says_why(monkeypatch, tmp_path):
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    use_cache(tmp_path)
    other = SiT(SiTRecipe(width=24, depth=1, heads=2), (1, 4, 4), 3, 1000.0, CPU)
    with pytest.raises(CompilerError, match="cannot compile") as raised:
        drawn(COMPILED, network(1, other))
    assert "\n" not in str(raised.value)

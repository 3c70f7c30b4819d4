"""Samples by compiled code. A tiny network compiles in seconds; without a C++ compiler these are skipped."""

from __future__ import annotations

import pytest
import torch

from trainer.backbones.flat_parameters import views
from trainer.backbones.protocol import Network
from trainer.backbones.sit import SiT
from trainer.errors import CompilerError
from trainer.objectives.mean_flow import MeanFlow
from trainer.objectives.path_regression import Interpolant
from trainer.recipe import EvalRecipe, MeanFlowRecipe, SiTRecipe
from trainer.recipe.objective import Demands
from trainer.rng.streams import Stream, generator
from trainer.runtime.compiler import has_compiler, use_cache
from trainer.sampling.samples import samples

CPU = torch.device("cpu")
MODEL = SiT(SiTRecipe(width=16, depth=1, heads=2), (1, 4, 4), 3, 1000.0, CPU)
EAGER = EvalRecipe(samples=20, batch=8, nfe=2)
COMPILED = EAGER.model_copy(update={"compile": "on"})
with_compiler = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")


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


@with_compiler
def test_a_lanes_compiled_samples_are_those_it_has_alone_bit_for_bit():
    lanes = network(2)
    alone = Network(MODEL, {name: weight[:1] for name, weight in lanes.weights.items()})
    assert torch.equal(drawn(COMPILED, lanes)[:1], drawn(COMPILED, alone))


@with_compiler
@pytest.mark.parametrize(("first", "until"), [(0, 3), (5, 13), (16, 20)])
def test_compiled_samples_do_not_depend_on_how_many_are_drawn(first, until):
    lanes = network(1)
    assert torch.equal(drawn(COMPILED, lanes, until, first), drawn(COMPILED, lanes)[:, first:until])


@with_compiler
def test_a_process_that_takes_the_code_from_disk_draws_the_same_bit_for_bit():
    lanes = network(1)
    first = drawn(COMPILED, lanes)
    torch._dynamo.reset()
    assert torch.equal(drawn(COMPILED, lanes), first)


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

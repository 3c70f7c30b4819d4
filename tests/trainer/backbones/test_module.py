"""A user's own torch module as a backbone."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch

from tests.trainer.backbones.own_nets import Mlp
from trainer.backbones.flat_parameters import views
from trainer.backbones.module import WrappedModule
from trainer.backbones.protocol import Conditioning
from trainer.recipe import ModuleRecipe

CPU, SHAPE, CLASSES = torch.device("cpu"), (1, 4, 4), 3
NETS = "tests.trainer.backbones.own_nets"


def build(factory: str = f"{NETS}:mlp", **recipe: object) -> WrappedModule:
    tree = {"kind": "module", "factory": factory, "taps": ["tokens"], **recipe}
    return WrappedModule(ModuleRecipe.model_validate(tree), SHAPE, CLASSES, CPU)


@pytest.mark.parametrize("lanes", [1, 3])
def test_it_is_the_module_with_each_lanes_weights(lanes: int) -> None:
    model = build(arguments={"width": 5})
    flat = torch.stack([model.initial_weights(torch.Generator().manual_seed(seed)) for seed in range(lanes)])
    x, time, label = torch.randn(lanes, 7, *SHAPE), torch.rand(lanes, 7), torch.randint(0, CLASSES + 1, (lanes, 7))
    output = model(views(flat, model.layout), x, Conditioning(time, label), {0})
    for lane in range(lanes):
        module = Mlp(SHAPE, CLASSES, 5)
        module.load_state_dict({name: w[lane] for name, w in views(flat, model.layout).items()}, strict=False)
        seen = []
        module.tokens.register_forward_hook(lambda _module, _given, out, seen=seen: seen.append(out))
        torch.testing.assert_close(output.prediction[lane], module(x[lane], time[lane], label[lane]))
        torch.testing.assert_close(output.taps[0][lane], seen[0])
    assert model.tap_shapes == ((1, 5),)


def test_it_starts_as_the_module_initialises_itself_and_leaves_torchs_generator_alone() -> None:
    model, before = build(), torch.get_rng_state()
    seeds = [model.initial_weights(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(seeds[0], seeds[1])
    assert not torch.equal(seeds[0], seeds[2])


def test_products_weights_are_factors_and_embeddings_are_none() -> None:
    factors = {name: slot.is_factor for name, slot in build().layout.items()}
    assert factors == {
        "first.weight": True, "first.bias": True, "last.weight": True, "last.bias": True, "label.weight": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"factory": "no_such_module:net"},
            "no_such_module:net cannot be imported from .: ModuleNotFoundError: No module named 'no_such_module'$",
        ),
        ({"factory": f"{NETS}:nothing"}, "cannot be imported"),
        ({"factory": f"{NETS}:no_module"}, "returns a tuple, not a torch.nn.Module"),
        ({"factory": f"{NETS}:failing"}, "KeyError"),
        ({"factory": f"{NETS}:flat"}, r"predicts \[2, 16\] for images \[2, 1, 4, 4\]"),
        ({"factory": f"{NETS}:with_dropout"}, "tokens is a Dropout; a step must be a function of weights and batch"),
        ({"factory": f"{NETS}:with_statistics"}, "tokens is a BatchNorm1d"),
        ({"taps": ["first", "nowhere"]}, "taps names 'nowhere', which is not a sub-module"),
        ({"taps": ["first"]}, r"the output of tap 'first' must be \[B, N, D\] or \[B, D, H, W\], and is \[2, 6\]"),
        ({"taps": ["unused"]}, "tap 'unused' is not called, so it has no output"),
        ({"factory": f"{NETS}:not_finite"}, "predicts values that are not finite when called"),
        ({"factory": f"{NETS}:a_tuple"}, "returns a tuple, not a tensor; return the prediction alone"),
        ({"factory": f"{NETS}:unlabelled"}, r"IndexError: .*own_nets.py, line \d+\) when called .* labels 0 to \d+"),
        ({"factory": f"{NETS}:failing"}, r"KeyError: .*own_nets.py, line \d+\)"),
        ({"path": "no/such/folder"}, "no/such/folder is no folder in "),
        ({"arguments": {"depth": 2}}, "unexpected keyword argument 'depth'"),
    ],
)
def test_what_is_no_such_module_is_refused_in_one_line(change: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says) as refused:
        build(**change)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_the_hash_is_of_the_files_below_its_path_that_it_brings_in(tmp_path: Path) -> None:
    def write(helper: str, unused: str = "") -> str:
        (tmp_path / "sweeper_test_helper.py").write_text(f"WIDTH = {helper}\n")
        (tmp_path / "unused.py").write_text(unused)
        (tmp_path / "sweeper_test_net.py").write_text(
            dedent("""
                from sweeper_test_helper import WIDTH
                from tests.trainer.backbones.own_nets import Mlp
                def net(shape, classes): return Mlp(shape, classes, WIDTH)
            """)
        )
        for name in ("sweeper_test_helper", "sweeper_test_net"):
            sys.modules.pop(name, None)
        return build("sweeper_test_net:net", path=str(tmp_path)).source_sha256

    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        first = write("4")
        assert write("4", unused="print()") == first
        assert write("5") != first
        assert sys.path[-1] == str(tmp_path)  # never before ours
    finally:
        sys.dont_write_bytecode = before
        sys.path.remove(str(tmp_path))

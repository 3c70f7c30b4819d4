"""What every backbone must compute, whatever that is; `cases.CASES` lists them."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import get_args

import pytest
import safetensors.torch
import torch
from torch import Tensor

from tests.trainer.backbones.cases import BATCH, CASES, CLASSES, CPU, LANES, SHAPE, inputs, part, random_weights
from trainer.backbones.flat_parameters import leaves, views
from trainer.backbones.protocol import Backbone, Conditioning, Network, Slot
from trainer.errors import DataError
from trainer.recipe.backbone import BackboneKind
from trainer.training.block_rates import rate_factors

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def everything(backbone: Backbone, flat: Tensor, x: Tensor, given: Conditioning) -> list[Tensor]:
    output = backbone(views(flat, backbone.layout), x, given, range(len(backbone.taps)))
    return [output.prediction, *(output.taps[tap] for tap in range(len(backbone.taps)))]


def test_every_kind_of_backbone_has_a_case():
    assert len({type(case.build(SHAPE, CLASSES)) for case in CASES}) == len(get_args(BackboneKind))


# Lanes and samples


def test_a_lane_of_several_computes_what_it_computes_alone(wide):
    flat, (x, given) = random_weights(wide), inputs()
    together = everything(wide, flat, x, given)
    for lane in (slice(i, i + 1) for i in range(LANES)):
        alone = everything(wide, flat[lane], x[lane], part(given, lane))
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one[lane], other, **EXACT)


def test_no_sample_sees_the_others_of_its_batch(wide):
    flat, (x, given) = random_weights(wide), inputs()
    together = everything(wide, flat, x, given)
    for sample in ((slice(None), slice(i, i + 1)) for i in range(BATCH)):
        alone = everything(wide, flat, x[sample], part(given, sample))
        for one, other in zip(together, alone, strict=True):
            torch.testing.assert_close(one[sample], other, **EXACT)


def test_a_call_is_a_function_of_what_it_is_given_and_changes_none_of_it(backbone):
    flat, (x, given) = random_weights(backbone), inputs()
    before = [each.clone() for each in (flat, x, given.time, given.label)]
    once, again = (everything(backbone, flat, x, given) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, (flat, x, given.time, given.label), strict=True))


def test_the_prediction_depends_on_image_time_and_label(backbone):
    weights, (x, given) = views(random_weights(backbone), backbone.layout), inputs()
    plain = backbone(weights, x, given).prediction
    for changed, conditioning in (
        (x + 0.1, given),
        (x, given._replace(time=1 - given.time)),
        (x, given._replace(label=(given.label + 1) % CLASSES)),
    ):
        assert not torch.allclose(backbone(weights, changed, conditioning).prediction, plain, atol=1e-4)


# Images and labels


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 4), (4, 4, 4)])
def test_it_takes_images_of_the_shape_it_was_built_for_and_predicts_such(case, shape):
    backbone = case.build(shape, CLASSES)
    assert (tuple(backbone.shape), backbone.classes) == (shape, CLASSES)
    x, given = inputs(shape, batch=2)
    prediction = backbone(views(random_weights(backbone), backbone.layout), x, given).prediction
    assert prediction.shape == x.shape
    assert prediction.isfinite().all()


def test_a_dropped_label_is_accepted_and_is_none_of_the_others(backbone):
    weights, (x, given) = views(random_weights(backbone), backbone.layout), inputs()
    found = [
        backbone(weights, x, given._replace(label=torch.full_like(given.label, label))).prediction
        for label in range(CLASSES + 1)
    ]
    assert all(each.isfinite().all() for each in found)
    assert not any(torch.allclose(each, found[CLASSES], atol=1e-5) for each in found[:CLASSES])


# Taps


def test_taps_have_names_of_their_own_and_the_shape_that_is_said(backbone):
    assert len(backbone.taps) == len(backbone.tap_shapes) == len(set(backbone.taps)) > 0
    _, *taps = everything(backbone, random_weights(backbone), *inputs())
    for tap, shape in zip(taps, backbone.tap_shapes, strict=True):
        assert tap.shape == (LANES, BATCH, shape.tokens, shape.width)
        assert tap[0, 0].numel() == shape.elements


def test_only_the_taps_asked_for_are_kept(backbone):
    weights, given, last = views(random_weights(backbone), backbone.layout), inputs(), len(backbone.taps) - 1
    for asked in ((), (0,), (last,), {0, last}):
        assert set(backbone(weights, *given, taps=asked).taps) == set(asked)


def test_a_walk_gives_what_the_taps_of_a_call_are(backbone):
    flat, given = random_weights(backbone), inputs()
    walked = list(backbone.walk(views(flat, backbone.layout), *given))
    _, *taps = everything(backbone, flat, *given)
    assert len(walked) == len(taps)
    assert all(torch.equal(one, other) for one, other in zip(walked, taps, strict=True))


def test_which_taps_are_asked_for_does_not_change_the_prediction(backbone):
    weights, given = views(random_weights(backbone), backbone.layout), inputs()
    plain, every = backbone(weights, *given).prediction, range(len(backbone.taps))
    for asked in (every, *((tap,) for tap in every)):
        assert torch.equal(backbone(weights, *given, taps=asked).prediction, plain)


# Weights


def test_what_belongs_to_a_block_changes_its_tap_and_none_before(backbone):
    flat, (x, given) = random_weights(backbone), inputs()
    before = everything(backbone, flat, x, given)[1:]
    for tap in range(len(backbone.taps)):
        # Whatever is the block's: 2 where it or a later one owns a number, less what a later one does.
        own = rate_factors(backbone.layout, tap, 2.0) - rate_factors(backbone.layout, tap + 1, 2.0)
        if not own.any():  # a user's tap may be a module without weights
            continue
        after = everything(backbone, flat + 0.1 * own, x, given)[1:]
        changed = [not torch.equal(one, other) for one, other in zip(before, after, strict=True)]
        assert not any(changed[:tap])
        assert changed[tap]


def test_the_layouts_slots_cover_the_buffer_each_number_once(backbone):
    assert all(isinstance(slot, Slot) for slot in backbone.layout.values())
    size = sum(prod(slot.shape) for slot in backbone.layout.values())
    numbered = torch.arange(2.0 * size).view(2, size)
    named = views(numbered, backbone.layout)
    assert {name: tuple(view.shape[1:]) for name, view in named.items()} == {
        name: tuple(slot.shape) for name, slot in backbone.layout.items()
    }
    assert torch.equal(torch.cat([view.flatten(1) for view in named.values()], 1), numbered)


def test_initial_weights_are_a_function_of_the_generator_alone(case, backbone):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one = backbone.initial_weights(torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    again, other = (case.build(SHAPE, CLASSES).initial_weights(torch.Generator().manual_seed(s)) for s in (0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one.shape == (sum(prod(slot.shape) for slot in backbone.layout.values()),)
    assert (one.device, one.dtype, one.requires_grad) == (CPU, torch.float32, False)


def state_of(backbone: Backbone, flat: Tensor) -> dict[str, Tensor]:
    return backbone.state_dict({name: view[0] for name, view in views(flat, backbone.layout).items()})


def test_weights_come_back_from_a_file_bit_for_bit(backbone):
    flat = random_weights(backbone, 1)
    state = safetensors.torch.load(safetensors.torch.save(state_of(backbone, flat)))
    back = backbone.from_state_dict(state, "it")
    assert torch.equal(back, flat[0])
    assert back.dtype == torch.float32
    assert not back.requires_grad


def test_a_file_may_lack_only_what_is_no_weight(case, backbone):
    flat = random_weights(backbone, 1)
    state = state_of(backbone, flat)
    for name in case.may_lack:
        left = {other: tensor for other, tensor in state.items() if other != name}
        assert torch.equal(backbone.from_state_dict(left, "it"), flat[0])


def test_a_missing_an_odd_and_a_misshapen_tensor_are_refused_by_the_name_of_the_place(case, backbone):
    state = state_of(backbone, random_weights(backbone, 1))
    refused = [{**state, "odd": torch.zeros(2)}]
    for name, tensor in state.items():
        if name not in case.may_lack:
            refused.append({other: kept for other, kept in state.items() if other != name})
        refused.append({**state, name: torch.cat([tensor, tensor[:1]])})
        refused.append({**state, name: tensor[None]})
    for each in refused:
        with pytest.raises(DataError, match=r"^weights of it: ") as error:
            backbone.from_state_dict(each, "weights of it")
        assert "\n" not in str(error.value)


def test_products_in_bfloat16_predict_about_the_same(backbone):
    flat, given = random_weights(backbone), inputs()
    plain, low = (Network(backbone, views(flat, backbone.layout), low)(*given).prediction for low in (False, True))
    assert float((low - plain).norm() / plain.norm()) < 0.1


# Forward-mode derivatives, which an average velocity is learnt by


def along(backbone: Backbone, weights: dict[str, Tensor], given: Conditioning) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda x, time: backbone(weights, x, given._replace(time=time)).prediction


def test_the_derivative_along_image_and_time_is_that_of_finite_differences(wide):
    x, given = inputs()
    predict = along(wide, views(random_weights(wide), wide.layout), given)
    random = torch.Generator().manual_seed(2)
    ahead = torch.randn(x.shape, generator=random), torch.rand(given.time.shape, generator=random)
    found, derivative = torch.func.jvp(predict, (x, given.time), ahead)
    torch.testing.assert_close(found, predict(x, given.time), **EXACT)
    h = 1e-6
    one, other = (predict(x + s * h * ahead[0], given.time + s * h * ahead[1]) for s in (1, -1))
    assert float(derivative.abs().max()) > 0.01
    torch.testing.assert_close(
        derivative, (one - other) / (2 * h), rtol=1e-5, atol=1e-6 * float(derivative.abs().max())
    )


def test_a_prediction_with_its_derivative_has_the_gradients_of_one_without(wide):
    flat, (x, given) = random_weights(wide), inputs()
    grads = []
    for forward in (False, True):
        named = leaves(flat, wide.layout)
        predict = along(wide, named, given)
        if forward:
            found, _ = torch.func.jvp(predict, (x, given.time), (x, torch.ones_like(given.time)))
        else:
            found = predict(x, given.time)
        grads.append(torch.autograd.grad(found.square().sum(), list(named.values())))
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)

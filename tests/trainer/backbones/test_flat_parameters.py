import torch

from trainer.backbones.flat_parameters import Shadow, flatten, leaves, views
from trainer.backbones.protocol import Conditioning
from trainer.backbones.sit import SiT
from trainer.recipe import SiTRecipe

CPU = torch.device("cpu")
MODEL = SiT(SiTRecipe(width=16, depth=2, heads=2), (3, 8, 8), 10, 1000.0, CPU)


def buffer(lanes: int) -> torch.Tensor:
    flat = torch.stack([MODEL.initial_weights(torch.Generator().manual_seed(lane)) for lane in range(lanes)])
    return flat + 0.1 * torch.randn(flat.shape, generator=torch.Generator().manual_seed(9))


def test_views_are_the_buffer_and_flatten_undoes_them():
    flat = buffer(2)
    named = views(flat, MODEL.layout)
    assert torch.equal(flatten({name: part[1] for name, part in named.items()}, MODEL.layout), flat[1])
    named["labels"].zero_()
    assert not flat.equal(buffer(2))


def gradients(named: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    x, t = torch.randn(2, 5, 3, 8, 8, generator=random), torch.rand(2, 5, generator=random)
    with torch.autocast("cpu", torch.bfloat16):
        out = MODEL(named, x, Conditioning(t, torch.arange(10).reshape(2, 5))).prediction
    return list(torch.autograd.grad(out.float().square().sum(), list(named.values())))


def test_a_shadow_gives_the_very_gradients_that_casting_at_every_use_gives():
    flat = buffer(2)
    shadow = Shadow(flat, MODEL.layout)
    shadow.refresh()
    for cast, plain in zip(gradients(shadow.leaves), gradients(leaves(flat, MODEL.layout)), strict=True):
        assert torch.equal(cast.float(), plain)
    assert shadow.leaves["labels"].dtype == torch.float32
    assert shadow.leaves["0.qkv.weight"].dtype == torch.bfloat16


def test_a_shadow_follows_the_buffer_and_every_lane_of_it_starts_at_16_bytes():
    flat = buffer(3)
    shadow = Shadow(flat, MODEL.layout)
    flat.mul_(2)
    shadow.refresh()
    assert torch.equal(shadow.leaves["patch.weight"], views(flat, MODEL.layout)["patch.weight"].bfloat16())
    assert shadow.leaves["patch.weight"].stride(0) % 8 == 0

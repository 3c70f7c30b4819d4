from math import prod

import pytest
import torch

from trainer.rng import counters
from trainer.rng.draws import Draw, from_counters, from_generator
from trainer.rng.streams import Stream, generator, key

CPU = torch.device("cpu")
BATCH, IMAGE = 5, (3, 4, 2)
# Every kind of draw, and a stretch of an odd length before another.
WANTED = {
    "time": Draw("uniform", "sample"),
    "noise": Draw("normal", "pixel"),
    "jump": Draw("normal", "sample"),
    "mask": Draw("uniform", "pixel"),
    "until": Draw("uniform", "sample"),
}
KEYS = torch.tensor([key(seed, Stream.BATCH, step) for seed in (0, 7) for step in (3, 4)])


def test_there_is_a_number_for_every_pixel_or_every_sample():
    assert Draw("normal", "pixel").shape(BATCH, IMAGE) == (5, 3, 4, 2)
    assert Draw("uniform", "sample").shape(BATCH, IMAGE) == (5,)


def test_both_samplers_draw_what_is_wanted_in_order_and_shape():
    one = from_generator(WANTED, generator(0, Stream.BATCH), BATCH, IMAGE, CPU)
    many = from_counters(WANTED, KEYS, BATCH, IMAGE)
    assert list(one) == list(many) == list(WANTED)
    for name, draw in WANTED.items():
        assert one[name].shape == draw.shape(BATCH, IMAGE)
        assert many[name].shape == (len(KEYS), *draw.shape(BATCH, IMAGE))


def test_a_generators_numbers_are_those_of_torchs_calls_in_that_order():
    drawn = from_generator(WANTED, generator(4, Stream.BATCH, 9), BATCH, IMAGE, CPU)
    random = generator(4, Stream.BATCH, 9)
    for name, draw in WANTED.items():
        call = torch.randn if draw.distribution == "normal" else torch.rand
        assert torch.equal(drawn[name], call(draw.shape(BATCH, IMAGE), generator=random))


def test_the_generator_goes_on_where_the_draws_end():
    random, other = generator(1, Stream.BATCH), generator(1, Stream.BATCH)
    from_generator({"noise": Draw("normal", "sample")}, random, BATCH, IMAGE, CPU)
    torch.randn(BATCH, generator=other)
    assert torch.equal(torch.rand(3, generator=random), torch.rand(3, generator=other))


def test_counters_numbers_are_consecutive_stretches_of_one_stream():
    drawn, first = from_counters(WANTED, KEYS, BATCH, IMAGE), 0
    for name, draw in WANTED.items():
        count = prod(draw.shape(BATCH, IMAGE))
        call = counters.normal if draw.distribution == "normal" else counters.uniform
        assert torch.equal(drawn[name].flatten(1), call(KEYS, first, count))
        first += count


def test_a_streams_numbers_are_the_same_for_any_number_of_streams_at_once():
    together = from_counters(WANTED, KEYS, BATCH, IMAGE)
    for row in range(len(KEYS)):
        alone = from_counters(WANTED, KEYS[row : row + 1], BATCH, IMAGE)
        assert all(torch.equal(together[name][row], alone[name][0]) for name in WANTED)
    reversed_ = from_counters(WANTED, KEYS.flip(0), BATCH, IMAGE)
    assert all(torch.equal(reversed_[name].flip(0), together[name]) for name in WANTED)


@pytest.mark.parametrize("last", list(WANTED))
def test_what_is_wanted_later_changes_nothing_before_it(last):
    fewer = {name: draw for name, draw in WANTED.items() if list(WANTED).index(name) <= list(WANTED).index(last)}
    for draw_all, drawn in (
        (from_counters(WANTED, KEYS, BATCH, IMAGE), from_counters(fewer, KEYS, BATCH, IMAGE)),
        tuple(from_generator(wanted, generator(0, Stream.BATCH), BATCH, IMAGE, CPU) for wanted in (WANTED, fewer)),
    ):
        assert all(torch.equal(draw_all[name], part) for name, part in drawn.items())


def test_streams_and_draws_share_no_numbers():
    drawn = from_counters(WANTED, KEYS, 64, IMAGE)
    assert not torch.equal(drawn["time"], drawn["until"])
    for part in drawn.values():
        assert len({row.numpy().tobytes() for row in part}) == len(KEYS)

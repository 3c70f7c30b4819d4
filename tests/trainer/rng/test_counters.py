import math

import torch

from trainer.rng import counters
from trainer.rng.streams import Stream, key

MASK = (1 << 64) - 1


def splitmix64(state: int) -> int:
    """The hash as its paper writes it, in Python's own numbers."""
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def keys(*values: int) -> torch.Tensor:
    return torch.tensor(values)


def test_numbers_are_those_of_splitmix64():
    # Published first outputs of the generator seeded with 1234567.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [splitmix64((1234567 + (i + 1) * counters.GOLDEN) & MASK) for i in range(3)] == published
    expected = torch.tensor([(value >> 40) / 2**24 for value in published])
    assert torch.equal(counters.uniform(keys(1234567), 0, 3)[0], expected)
    large = key(7, Stream.BATCH, 3)
    got = counters.uniform(keys(large), 5, 4)[0].tolist()
    assert got == [(splitmix64((large + (i + 1) * counters.GOLDEN) & MASK) >> 40) / 2**24 for i in range(5, 9)]


def test_a_stream_does_not_depend_on_how_it_is_cut_nor_on_the_others():
    whole = counters.uniform(keys(3, 9), 0, 20)
    assert torch.equal(whole[1:], counters.uniform(keys(9), 0, 20))
    assert torch.equal(whole[:, 7:12], counters.uniform(keys(3, 9), 7, 5))


def test_uniform_numbers_fill_the_interval_evenly():
    numbers = counters.uniform(keys(0, 1, 2**62), 0, 200_000)
    assert float(numbers.min()) >= 0
    assert float(numbers.max()) < 1
    for row in numbers:
        counts = torch.histc(row, 100, 0, 1)
        assert float(((counts - 2000) ** 2 / 2000).sum()) < 160  # chi-square of 99 degrees: one in 10,000


def test_normal_numbers_have_a_normal_distribution_and_no_correlation():
    numbers = counters.normal(keys(5, 6), 0, 400_001)
    assert numbers.shape == (2, 400_001)
    assert numbers.isfinite().all()
    for row in numbers:
        ordered = row.double().sort().values
        expected = torch.special.ndtr(ordered)
        steps = torch.arange(len(row)) / len(row)
        assert float((expected - steps).abs().max()) < 2.2 / math.sqrt(len(row))  # Kolmogorov: one in 10,000
        # The two halves come from the same hashes.
        half = len(row) // 2
        assert abs(float(torch.corrcoef(torch.stack([row[:half], row[half + 1 :]]))[0, 1])) < 4.5 / math.sqrt(half)
        assert abs(float(torch.corrcoef(torch.stack([row[:-1], row[1:]]))[0, 1])) < 4.5 / math.sqrt(len(row))
    assert abs(float(torch.corrcoef(numbers)[0, 1])) < 4.5 / math.sqrt(400_001)


def test_streams_of_neighbouring_steps_and_seeds_share_nothing():
    streams = keys(*(key(seed, Stream.BATCH, step) for seed in range(4) for step in range(8)))
    together = torch.corrcoef(counters.normal(streams, 0, 20_000))
    together.fill_diagonal_(0)
    assert float(together.abs().max()) < 5 / math.sqrt(20_000)

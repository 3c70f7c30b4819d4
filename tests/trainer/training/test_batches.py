import torch

from trainer.data.images import Images
from trainer.objectives.interpolant import Interpolant
from trainer.training.batches import Batch, TrainingSplit, draw, order

IMAGES = torch.arange(10.0).reshape(10, 1, 1, 1).expand(10, 1, 2, 2)
SPLIT = TrainingSplit(Images(IMAGES, None), torch.arange(10) % 3, 3)
WANTED = Interpolant.draws


def parts(batch: Batch) -> list[torch.Tensor]:
    assert list(batch.draws) == ["noise", "time"]
    return [batch.images, batch.labels, *batch.draws.values()]


def test_an_epoch_meets_every_image_once_and_the_next_is_in_another_order():
    first, second = order(5, 0, 10, 10), order(5, 10, 10, 10)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(10))
    assert first.tolist() != second.tolist()


def test_order_does_not_depend_on_how_it_is_cut():
    whole = order(1, 0, 35, 10)
    assert torch.equal(whole, torch.cat([order(1, start, 7, 10) for start in range(0, 35, 7)]))


def test_batch_is_a_pure_function_of_seed_and_step():
    one, again = (draw(WANTED, SPLIT, [4], 17, 6, 0.1) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(parts(one), parts(again), strict=True))
    other = draw(WANTED, SPLIT, [4], 18, 6, 0.1)
    assert not torch.equal(one.draws["noise"], other.draws["noise"])


def test_each_seed_draws_what_it_would_draw_alone():
    both = draw(WANTED, SPLIT, [4, 9], 2, 6, 0.5)
    for row, seed in enumerate((4, 9)):
        alone = draw(WANTED, SPLIT, [seed], 2, 6, 0.5)
        assert all(torch.equal(a[row], b[0]) for a, b in zip(parts(both), parts(alone), strict=True))


def test_lanes_of_one_seed_share_the_batch():
    lanes = draw(WANTED, SPLIT, [4, 9], 2, 6, 0.5).for_lanes(torch.tensor([1, 0, 1]))
    assert torch.equal(lanes.draws["noise"][0], lanes.draws["noise"][2])
    assert not torch.equal(lanes.draws["noise"][0], lanes.draws["noise"][1])


def test_labels_are_dropped_at_the_given_rate_and_belong_to_their_images():
    batch = draw(WANTED, SPLIT, [0], 0, 4000, 0.1)
    dropped = batch.labels[0] == 3
    assert 0.08 < float(dropped.float().mean()) < 0.12
    values = batch.images[0, :, 0, 0, 0].long()
    assert torch.equal(batch.labels[0][~dropped], (values % 3)[~dropped])


def test_times_are_uniform_and_noise_is_standard_normal():
    batch = draw(WANTED, SPLIT, [0], 3, 5000, 0.0)
    times = batch.draws["time"][0].sort().values
    assert float((times - torch.linspace(0, 1, 5000)).abs().max()) < 0.03
    assert abs(float(batch.draws["noise"].mean())) < 0.03
    assert abs(float(batch.draws["noise"].std()) - 1) < 0.03


def test_half_of_the_images_are_mirrored_where_that_is_wished_for_and_nothing_else_changes(digits):
    split = TrainingSplit.of(digits, torch.device("cpu"))
    plain, flipped = (
        draw(Interpolant.draws, split._replace(flips=flips), [0, 1], 5, 400, 0.1) for flips in (False, True)
    )
    same, mirrored = ((flipped.images == each).flatten(2).all(2) for each in (plain.images, plain.images.flip(-1)))
    assert bool((same | mirrored).all())
    assert abs(float(mirrored.float().mean()) - 0.5) < 0.1
    assert torch.equal(plain.draws["noise"], flipped.draws["noise"])
    assert torch.equal(plain.labels, flipped.labels)

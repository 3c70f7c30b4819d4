import torch

from trainer.data.images import Images
from trainer.objectives.interpolant import Interpolant
from trainer.recipe import TrainRecipe
from trainer.training.batches import Batch, TrainingSplit, order
from trainer.training.ema import ema_decay
from trainer.training.lr_schedule import learning_rate
from trainer.training.prefetch import STEPS, Prefetch

IMAGES = torch.arange(10.0).reshape(10, 1, 1, 1).expand(10, 1, 2, 2).contiguous()
LABELS = torch.arange(10) % 3
TRAIN = TrainRecipe(steps=200, batch=6, lr=0.5, warmup=10, label_drop=0.3)


def prefetch(*seeds: int, train: TrainRecipe = TRAIN) -> Prefetch:
    return Prefetch(Interpolant.draws, TrainingSplit(Images(IMAGES, None), LABELS, 3), train, seeds)


def parts(batch: Batch) -> list[torch.Tensor]:
    assert list(batch.draws) == ["noise", "time"]
    return [batch.images, batch.labels, *batch.draws.values()]


def taken(made: Prefetch, first: int, steps: int) -> list:
    made.fill(first)
    return [made.take() for _ in range(steps)]


def test_a_step_is_the_same_wherever_its_buffers_begin_and_whoever_else_is_in_it():
    early, late, alone = taken(prefetch(4, 9), 3, 6)[5], taken(prefetch(9, 4), 8, 1)[0], taken(prefetch(9), 8, 1)[0]
    for one, other, solo in zip(parts(early.batch), parts(late.batch), parts(alone.batch), strict=True):
        assert torch.equal(one, other[[1, 0]])
        assert torch.equal(one[1], solo[0])


def test_lanes_of_one_seed_share_everything_and_seeds_nothing():
    batch = taken(prefetch(4, 9, 4), 0, 1)[0].batch
    assert torch.equal(batch.draws["noise"][0], batch.draws["noise"][2])
    assert torch.equal(batch.images[0], batch.images[2])
    assert not torch.equal(batch.draws["noise"][0], batch.draws["noise"][1])


def test_images_come_in_the_order_a_cpu_takes_them_in_with_their_labels():
    for step, inputs in enumerate(taken(prefetch(4), 7, 5), start=7):
        rows = order(4, step * 6, 6, 10)
        assert torch.equal(inputs.batch.images[0], IMAGES[rows])
        kept = inputs.batch.labels[0] != 3
        assert torch.equal(inputs.batch.labels[0][kept], LABELS[rows][kept])


def test_rates_are_those_of_the_step():
    for step, inputs in enumerate(taken(prefetch(0), 5, 12), start=5):
        assert inputs.lr.ndim == inputs.share.ndim == 0
        assert float(inputs.lr) == torch.tensor(learning_rate(TRAIN, step))
        assert float(inputs.share) == torch.tensor(1 - ema_decay(step + 1, TRAIN.ema))


def test_noise_is_normal_times_uniform_and_labels_dropped_at_their_rate():
    train = TRAIN.model_copy(update={"batch": 3000})
    inputs = taken(prefetch(1, 2, train=train), 0, 1)[0].batch
    assert abs(float(inputs.draws["noise"].mean())) < 0.03
    assert abs(float(inputs.draws["noise"].std()) - 1) < 0.03
    assert abs(float(inputs.draws["time"].mean()) - 0.5) < 0.02
    assert abs(float((inputs.labels == 3).float().mean()) - 0.3) < 0.03
    dropped = inputs.labels == 3
    assert abs(float(inputs.draws["time"][dropped].mean()) - 0.5) < 0.03


def test_few_steps_are_held_where_images_are_large():
    assert prefetch(0).steps == STEPS
    large = torch.zeros(2, 3, 256, 256)
    split = TrainingSplit(Images(large, None), LABELS[:2], 3)
    made = Prefetch(Interpolant.draws, split, TrainRecipe(batch=16), (0,))
    assert made.steps == 1


def test_half_of_the_images_are_mirrored_where_that_is_wished_for_and_nothing_else_changes():
    images = Images(torch.arange(40.0).reshape(10, 1, 2, 2), None)
    train = TRAIN.model_copy(update={"batch": 3000})
    plain, flipped = (
        taken(Prefetch(Interpolant.draws, TrainingSplit(images, LABELS, 3, flips), train, [0, 4]), 2, 1)[0].batch
        for flips in (False, True)
    )
    same, mirrored = ((flipped.images == each).flatten(2).all(2) for each in (plain.images, plain.images.flip(-1)))
    assert bool((same | mirrored).all())
    assert abs(float(mirrored.float().mean()) - 0.5) < 0.03
    assert torch.equal(plain.draws["noise"], flipped.draws["noise"])
    assert torch.equal(plain.labels, flipped.labels)

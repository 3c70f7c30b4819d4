import pytest

from trainer.recipe import DataRecipe, Dispersion, EvalRecipe, ModelRecipe, Recipe, TrainRecipe


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (TrainRecipe, {"weight_decay": 1001}),
        (TrainRecipe, {"time_scale": 2e6}),
        (TrainRecipe, {"warmup": 2_000_000_000, "steps": 10}),
        (DataRecipe, {"name": "npz", "path": ""}),
        (DataRecipe, {"name": "folder", "path": "x", "image_size": 8, "channels": True}),
        (EvalRecipe, {"extractor": "inception", "weights": ""}),
        (Dispersion, {"tau": 1e-7}),
        (Dispersion, {"tau": 2e6}),
        (Dispersion, {"lam": 2e6}),
        (Dispersion, {"blocks": (1, 1)}),
        (Dispersion, {"blocks": (-1,)}),
        (Dispersion, {"tau_units": "relative", "variant": "cosine"}),
    ],
)
def test_what_is_out_of_range_is_refused_where_it_is(kind, given):
    with pytest.raises(ValueError, match="validation error") as caught:
        kind(**given)
    assert len(caught.value.errors()) == 1


@pytest.mark.parametrize(
    "given", [{"tau": 1e-6}, {"tau": 1e6}, {"lam": 1e6}, {"blocks": (3, 1)}, {"tau_units": "relative"}]
)
def test_the_bounds_themselves_are_allowed(given):
    assert Dispersion(**given)


def test_channels_are_one_or_three():
    folder = {"name": "folder", "path": "x", "image_size": 8}
    assert [DataRecipe(**folder, channels=channels).channels for channels in (1, 3)] == [1, 3]
    with pytest.raises(ValueError, match="channels must be 1 or 3, not a boolean"):
        DataRecipe(**folder, channels=True)


def test_guidance_without_dropped_labels_is_refused():
    with pytest.raises(ValueError, match=r"eval\.cfg 2\.0 needs train\.label_drop above 0"):
        Recipe().override({"eval.cfg": 2.0, "train.label_drop": 0.0})
    assert Recipe().override({"train.label_drop": 0.0}).eval.cfg == 1
    assert Recipe().override({"eval.cfg": 2.0}).train.label_drop > 0


def test_a_block_without_hidden_units_is_refused():
    with pytest.raises(ValueError, match="leaves no hidden unit at width 8"):
        ModelRecipe(width=8, heads=2, mlp_ratio=0.05)
    assert ModelRecipe(width=8, heads=2, mlp_ratio=0.125).hidden == 1


def test_a_preset_fills_what_is_not_given():
    assert ModelRecipe(preset="B", depth=2) == ModelRecipe(preset="B", width=768, depth=2, heads=12, patch=2)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("train.lr.x", r"train\.lr\.x: lr is a value and has no fields"),
        ("train.learning_rate", "train.learning_rate"),
        ("nowhere.lr", "nowhere"),
        ("train", "train"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused_with_its_path(path, message):
    with pytest.raises(ValueError, match=message):
        Recipe().override({path: 0.5})


def test_an_override_changes_its_field_its_hash_and_nothing_else():
    changed = Recipe().override({"train.weight_decay": 0.5})
    assert changed.train.weight_decay == 0.5
    assert changed.override({"train.weight_decay": 0.0}) == Recipe()
    assert changed.hash != Recipe().hash


def test_blocks_have_one_spelling():
    assert Dispersion(blocks=(3, 0, 2)) == Dispersion(blocks=(0, 2, 3))
    assert Dispersion(blocks=(3, 0, 2)).blocks == (0, 2, 3)

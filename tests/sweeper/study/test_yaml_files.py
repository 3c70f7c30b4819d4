"""Study files: mistakes are told where they are written, and what is written is read back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import StudyError
from sweeper.planning.trials import screen_trials
from sweeper.study import Study
from sweeper.study.placeholders import PLACEHOLDER
from sweeper.study.yaml_files import read_study, study_schema, templates, to_yaml
from tests.places import ROOT

GOOD = """\
name: s
question: q?
recipe:
  train: {steps: 100}
space:
  block: [0, 1]
  lambda: [0.1]
  tau: [0.5, 1]
controls:
  - name: decay
    set: {train.weight_decay: 0.5}
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "s.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def refusal(path: Path, *overrides: str) -> StudyError:
    with pytest.raises(StudyError) as caught:
        read_study(path, overrides)
    assert caught.value.exit_code == 2
    assert caught.value.remedy.endswith(".")
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "at", "says"),
    [
        ("space:", "spcae:", "5:1", "unknown field 'spcae' in the study; did you mean 'space'?"),
        ("space:", "train:", "5:1", "unknown field 'train' in the study"),
        ("lambda:", "lam:", "7:3", "unknown field 'lam' in space; did you mean 'lambda'?"),
        ("question: q?\n", "", "1:1", "question is missing"),
        ("[0.5, 1]", "[0.5, 0]", "8:14", "space.tau.1 must be at least 1e-06; got 0"),
        ("[0.5, 1]", "[0.5, -1]", "8:14", "space.tau.1 must be at least 1e-06; got -1"),
        ("[0.5, 1]", "[.nan]", "8:9", "space.tau.0 must be a finite number; got NaN"),
        ("[0.5, 1]", "[0.5, .inf]", "8:14", "space.tau.1 must be a finite number"),
        ("[0.5, 1]", "[0.5, true]", "8:14", "space.tau.1 must be a number; got true"),
        ("[0.5, 1]", "['1']", "8:9", 'space.tau.0 must be a number; got "1"'),
        ("[0.5, 1]", "0.5", "8:8", "space.tau must be a list such as [0.25, 0.5] or a range"),
        ("[0.5, 1]", "{low: 2, high: 1, count: 3}", "8:14", "space.tau.low must be below high, not 2 and 1"),
        ("[0.5, 1]", "{low: 1, hihg: 2, count: 3}", "8:17", "unknown field 'hihg' in space.tau; did you mean 'high'?"),
        ("[0, 1]", "[0, 4]", "6:14", "space.block.1 must be within this model's depth 4, 0 to 3; got 4"),
        ("[0, 1]", "[0, [1, 9]]", "6:18", "space.block.1.1 must be within this model's depth"),
        (
            "[0, 1]",
            "[-1]",
            "6:11",
            "space.block.0 must be an index from 0, a fraction of the depth such as 0.25, 'all'",
        ),
        ("[0, 1]", "[1.5]", "6:11", "space.block.0 must be an index"),
        ("[0, 1]", "[al]", "6:11", 'or a list of these; got "al"'),
        ("[0, 1]", "[true]", "6:11", "or a list of these; got true"),
        ("[0, 1]", "[]", "6:10", "space.block must have at least 1 items; got []"),
        ("steps: 100", "steps: 1e2", "4:18", "recipe.train.steps must be a whole number; got 100.0"),
        ("steps: 100", "steps: 0", "4:18", "recipe.train.steps must be at least 1; got 0"),
        ("steps: 100", "precision: fp23", "4:22", "must be 'fp32' or 'bf16'; got \"fp23\"; did you mean 'fp32'?"),
        ("{steps: 100}", "100", "4:10", "recipe.train must be a mapping; got 100"),
        ("train: {steps: 100}", "model: {width: 50}", "4:18", "recipe.model.width 50 must be divisible by 4"),
        ("name: s", "name: ..", "1:7", 'and not only dots; got ".."'),
        ("name: s", "name: 7", "1:7", "name must be a text"),
        ("name: s", "name: a/b", "1:7", "letters, digits, '.', '_' and '-'"),
        ("train.weight_decay", "train.wieght_decay", "11:11", "did you mean 'train.weight_decay'?"),
        ("train.weight_decay", "weight_decay", "11:11", "did you mean 'train.weight_decay'?"),
        ("train.weight_decay: 0.5", "train.lr: -1", "11:21", "controls.0.set.train.lr must be above 0; got -1"),
        ("train.weight_decay: 0.5", "train.lr: [1]", "11:21", "must be a plain value"),
        ("name: s", "name: s\nname: t", "2:1", "duplicate key 'name', first on line 1"),
        ("name: s", "name: !!python/name:os s", "1:7", "tag"),
        ("name: s", "name: !!int ''", "1:7", "cannot be read as a plain value"),
        ("name: s", "name: *nothing", "1:7", "undefined alias"),
        ("name: s", "name: &x [*x]", "1:7", "an alias contains itself"),
        ("name: s", "name: s\n? [a]\n: b", "2:3", "a key must be a word"),
        ("name: s", "name: [s", "2:9", "not YAML"),
        ("name: s", "name: s\n---\nname: t", "2:1", "not YAML"),
        ("name: s", "name: s\x07", "1:8", "not YAML"),
    ],
)
def test_a_mistake_is_told_at_its_line_and_column(write: Any, old: str, new: str, at: str, says: str) -> None:
    assert old in GOOD
    path = write(GOOD.replace(old, new, 1))
    message = refusal(path).message
    found = [line for line in message.splitlines() if line.startswith(f"{path}:{at}: ")]
    assert found, message
    assert says in found[0]


def test_the_line_is_shown_with_a_caret_under_the_mistake(write: Any) -> None:
    _, line, caret = refusal(write(GOOD.replace("[0.5, 1]", "[0.5, -1]"))).message.splitlines()
    assert line.endswith("  tau: [0.5, -1]")
    assert line[caret.index("^") :] == "-1]"


def test_a_line_far_too_long_is_shown_around_the_mistake(write: Any) -> None:
    many = "[" + "0.5, " * 500 + "-1]"
    _, line, caret = refusal(write(GOOD.replace("[0.5, 1]", many))).message.splitlines()
    assert len(line) < 120
    assert line[caret.index("^") :] == "-1]"


def test_every_mistake_is_told_at_once_and_once_in_the_order_of_the_file(write: Any) -> None:
    text = GOOD.replace("[0, 1]", "[-1, 0-1]").replace("steps: 100", "steps: x").replace("[0.5, 1]", "[-1]")
    told = [line for line in refusal(write(text)).message.splitlines() if ".yaml:" in line]
    assert [line.split(": ")[1].split(" ")[0] for line in told] == [
        "recipe.train.steps",
        "space.block.0",
        "space.block.1",
        "space.tau.0",
    ]


@pytest.mark.parametrize("name", ["<", "<# a comment that is none", "<int>"])
def test_an_unknown_field_may_look_like_a_tag(write: Any, name: str) -> None:
    assert f"unknown field '{name}' in the study" in refusal(write(f"{name}: 1\n{GOOD}")).message


def test_an_unknown_field_is_answered_with_those_allowed_and_a_remedy(write: Any) -> None:
    error = refusal(write(GOOD.replace("lambda:", "lambda: [1]\n  lamda:")))
    assert "allowed: block, lambda, tau, variant, tau_units" in error.message
    assert error.remedy == "Write 'lambda' instead of 'lamda'."


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"# nothing\n", "the file is empty"),
        (b"- a\n", "must be a mapping"),
        (b"just words\n", "must be a mapping"),
        (b"name: s\nquestion: caf\xe9\n", ":2:14: byte 0xe9 is not UTF-8"),
        (b"name: " + b"x" * 300_000, "must be a file of at most 256 kB"),
        (b"[" * 5000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_study_is_refused(write: Any, content: bytes, says: str) -> None:
    assert says in refusal(write(content)).message


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.yaml").message
    assert "is a folder" in refusal(tmp_path).message


@pytest.mark.parametrize("shape", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_that_multiply_are_refused_before_they_fill_the_memory(write: Any, shape: str) -> None:
    levels = ["a0: &a0 {x: 1}"]
    levels += [f"a{n}: &a{n} " + shape.format(", ".join([f"*a{n - 1}"] * 10)) for n in range(1, 9)]
    assert "more than 50000 values" in refusal(write("\n".join(levels))).message


def test_aliases_and_merge_keys_are_copies_that_can_be_changed_one_by_one(write: Any) -> None:
    text = GOOD.replace("[0, 1]", "&few [0, 1]").replace("tau: [0.5, 1]", "tau: [1]")
    text += "  - name: both\n    set: {<<: {train.lr: 0.001, train.ema: 0.5}, train.lr: 0.002}\n"
    text += "screen: {seeds: *few}\n"
    study = read_study(write(text), ["space.block.1=3"])
    assert study.screen.seeds == (0, 1)
    assert study.space.block == (0, 3)
    assert study.controls[1].set == {"train.lr": 0.002, "train.ema": 0.5}


def test_a_mistake_in_a_merged_mapping_is_told_where_it_is_written(write: Any) -> None:
    text = GOOD + "  - name: both\n    set: {<<: {train.lr: -1}}\n"
    assert ":13:26: controls.1.set.train.lr must be above 0" in refusal(write(text)).message


def test_yaml_1_2_numbers_are_numbers_and_words_are_words(write: Any) -> None:
    text = GOOD.replace("{steps: 100}", "{steps: 0o17, lr: 8e-3}").replace("q?", "yes").replace("name: s", "name: on")
    study = read_study(write(text))
    assert (study.recipe.train.steps, study.recipe.train.lr) == (15, 0.008)
    assert (study.name, study.question) == ("on", "yes")


def test_overrides_replace_values_in_order(write: Any) -> None:
    overrides = ["recipe.train.steps=1", "recipe.train.steps=7", "space.lambda=[0.2, 0.3]", "controls.0.name=wd"]
    overrides += ["controls.0.set.train.weight_decay=0.25", "confirm.top=2", "recipe.model.preset=S"]
    study = read_study(write(GOOD), overrides)
    assert study.recipe.train.steps == 7
    assert study.recipe.model.depth == 12
    assert study.space.lam == (0.2, 0.3)
    assert (study.controls[0].name, study.controls[0].set) == ("wd", {"train.weight_decay": 0.25})
    assert study.confirm is not None
    assert study.confirm.top == 2


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("recipe.train.steps=0", "recipe.train.steps must be at least 1; got 0"),
        ("recipe.train.steps=", "recipe.train.steps must be a whole number; got null"),
        ("recipe.trian.steps=5", "unknown field 'trian' in recipe; did you mean 'train'?"),
        ("recipe.train.stpes=5", "unknown field 'stpes' in recipe.train; did you mean 'steps'?"),
        ("space.block=[9]", "space.block.0 must be within this model's depth 4"),
        ("space.tau=[1", "not YAML"),
        ("space.tau", "must be a dotted field, '=' and a value"),
        ("=5", "must be a dotted field, '=' and a value"),
        ("space..tau=5", "must be a dotted field, '=' and a value"),
        ("name.x=5", "name is a plain value and has no 'x'"),
        ("controls.1.name=x", "controls has items 0 to 0, not '1'"),
        ("controls.first.name=x", "controls has items 0 to 0, not 'first'"),
        ("controls.0.set.train.wd=1", "unknown field 'train.wd' in controls.0.set"),
    ],
)
def test_a_wrong_override_is_told_by_its_own_words(write: Any, option: str, says: str) -> None:
    message = refusal(write(GOOD), option).message
    assert message.startswith(f"--set {option}: ")
    assert says in message


def test_a_mistake_that_an_override_mends_is_not_told(write: Any) -> None:
    assert read_study(write(GOOD.replace("[0, 1]", "[9]")), ["space.block=[3]"]).space.block == (3,)


def shipped() -> dict[str, str]:
    files = {path.name: path.read_text() for path in sorted((ROOT / "studies").glob("*.yaml"))}
    filled_in = {
        name: PLACEHOLDER.sub(lambda found: "mine:mine" if ":" in found[0] else "mine", text)
        for name, text in templates().items()
    }
    return {**files, **filled_in}


def test_the_studies_and_templates_that_are_promised_are_there() -> None:
    assert {"block_temp.yaml", "lambda_tau.yaml", "small_data.yaml", "smoke.yaml"} <= shipped().keys()
    assert {"default", "folder", "gpu"} <= templates().keys()


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_study_and_template_can_be_read_and_says_how_it_was_tuned(write: Any, name: str) -> None:
    study = read_study(write(shipped()[name]))
    assert study.tuning
    assert (study.screen.trials or len(screen_trials(study))) >= 4


def test_block_temp_marks_the_papers_default_in_both_readings_of_its_block() -> None:
    marked = {trial.cell.mark: trial.cell for trial in screen_trials(read_study(ROOT / "studies/block_temp.yaml"))}
    for label, block in (("paper's default", 1), ("paper's default, blocks counted from 1", 0)):
        setting = marked[label].dispersion
        assert (setting.blocks, setting.lam, setting.tau, setting.variant) == ((block,), 0.5, 0.5, "l2")


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_study_written_out_is_read_back_the_same(write: Any, name: str) -> None:
    study = read_study(write(shipped()[name]))
    assert read_study(write(to_yaml(study))) == study


def test_fields_that_differ_from_a_preset_survive_being_written_out(write: Any) -> None:
    overrides = ["recipe.model={preset: S, heads: 4, mlp_ratio: 2.0}", "space.block=[1.0, 1, [0, 0.5], all]"]
    study = read_study(write(GOOD), [*overrides, "recipe.train.lr=1e-5", "confirm={}", "question='1.5'"])
    again = read_study(write(to_yaml(study)))
    assert again == study
    assert again.recipe.model.heads == 4
    assert [type(block) for block in again.space.block] == [float, int, tuple, str]


def test_the_schema_uses_the_words_of_the_yaml_and_closes_every_mapping() -> None:
    schema = study_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert {"block", "lambda", "tau"} <= schema["$defs"]["Space"]["properties"].keys()
    assert schema["$defs"]["Screen"]["properties"]["seeds"]["anyOf"][0] == {"type": "integer"}
    assert all(part["additionalProperties"] is False for part in [schema, *schema["$defs"].values()])
    assert schema["properties"].keys() == Study.model_fields.keys()


def test_reading_a_study_imports_no_heavy_library() -> None:
    heavy = "{'torch', 'ray', 'optuna', 'mlflow', 'pandas', 'matplotlib'}"
    code = f"import sweeper.study.yaml_files, sweeper.planning.size, sys; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"

"""The pages of help: every command is in one group, and every example is a command that runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from sweeper.cli.app import app
from sweeper.cli.help_pages import EXAMPLES, GROUPS
from sweeper.study.across import studies_across
from tests.places import ROOT
from tests.sweeper.cli.test_app import Run, run

__all__ = ["run"]  # a fixture, used by being here

ALL = [example for examples in EXAMPLES.values() for example in examples]
# Those that need neither a study that has run, nor a cluster, nor half a minute of a calibration.
RUN = [
    "sweeper init mine.yaml",
    "sweeper init mine.yaml --template folder",
    "sweeper check studies/block_temp.yaml",
    "sweeper check studies/block_temp.yaml --set recipe.train.steps=600",
    "sweeper plan studies/imagenet256_sit_b2.yaml --on 8xH100",
    "sweeper schema > study.schema.json",
    "sweeper schema --of guide",
    "sweeper status studies/smoke.yaml --json",
    "sweeper list",
    "sweeper list --json",
    "sweeper slurm studies/block_temp.yaml --time 12:00:00 -o job.sh",
    "sweeper report reports/null/record.json --reports elsewhere",
    "sweeper compare reports/block_temp reports/null",
    "sweeper atlas reports/null reports/control --out atlas",
]

ACROSS = {"reports/block_temp-lr-0.004", "reports/block_temp-lr-0.008"}  # guides that no checkout has


def words_of(example: str) -> list[str]:
    """The arguments of an example, without what a shell does with its output."""
    return shlex.split(example.partition(" > ")[0])[1:]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like a checkout's root, with studies and reports that nothing can change."""
    for name in ("studies", "reports"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_every_command_is_in_one_group_and_has_examples() -> None:
    commands = sorted(typer.main.get_group(app).commands)
    assert sorted(command for group in GROUPS.values() for command in group) == commands
    assert sorted(EXAMPLES) == commands
    assert all(1 <= len(examples) <= 2 for examples in EXAMPLES.values())


def test_a_group_lists_whole_sentences(run: Run) -> None:
    page = run("--help").out
    assert "..." not in page.partition("Start:")[2]
    assert [line.rstrip(":") for line in page.splitlines() if line.rstrip(":") in GROUPS] == list(GROUPS)


@pytest.mark.parametrize("command", EXAMPLES)
def test_the_help_of_a_command_ends_with_its_examples(run: Run, command: str) -> None:
    lines = "".join(f"  {example}\n" for example in EXAMPLES[command])
    assert run(command, "--help").out.endswith(f"\nExamples:\n{lines}")


@pytest.mark.parametrize("example", ALL)
def test_an_example_is_a_command_with_arguments_it_takes(example: str, checkout: Path, monkeypatch) -> None:
    monkeypatch.chdir(checkout)
    name, *arguments = words_of(example)
    typer.main.get_group(app).commands[name].make_context(name, arguments)
    assert [command for command, examples in EXAMPLES.items() if example in examples] == [name]
    files = {word for word in arguments if word.startswith(("studies/", "reports/"))}
    assert {file for file in files - ACROSS if not (checkout / file).exists()} == set()


def test_the_examples_of_across_are_of_the_same_studies() -> None:
    file, *values = words_of(EXAMPLES["run"][1])[1::2]
    names = {f"reports/{study.name}" for study in studies_across(ROOT / file, (), values)[1]}
    assert set(words_of(EXAMPLES["across"][0])[1:]) == names == ACROSS


@pytest.mark.parametrize("example", RUN)
def test_an_example_runs(run: Run, example: str, checkout: Path) -> None:
    assert example in ALL
    assert checkout == Path.cwd()
    ran = run(*words_of(example))
    assert (ran.code, "error" in ran.err) == (0, False), ran.err


def test_the_page_of_commands_has_the_same_groups() -> None:
    parts = (ROOT / "docs/commands.md").read_text(encoding="utf-8").split("\n## ")[1:]
    listed = {part.partition("\n")[0]: re.findall(r"^\| `sweeper ([a-z]+)", part, re.MULTILINE) for part in parts}
    assert {group: list(dict.fromkeys(names)) for group, names in listed.items() if names} == {
        group: list(names) for group, names in GROUPS.items()
    }

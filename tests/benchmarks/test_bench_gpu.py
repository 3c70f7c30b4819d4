"""The GPU benchmark runs from end to end on a CPU, on tiny sizes, and counts operations as torch does."""

import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.benchmarks.bench_gpu import COLUMNS
from tests.benchmarks.gpu_program import SIZES, TINY, Program, settings
from trainer.recipe import SiTRecipe

BLOCKED = ("pydantic", "pydantic_core", "safetensors", "filelock", "sklearn", "scipy", "ray", "optuna", "mlflow", "PIL")


@pytest.mark.parametrize("size", [*TINY, SIZES[0]], ids=lambda size: size.name)
def test_operations_by_formula_are_those_torch_counts(size):
    program = Program(size, settings(size, 3, 0.0), torch.device("cpu"), "eager", "fp32")
    with FlopCounterMode(display=False) as counter:
        program.step()
    assert 3 * size.step_flops == counter.get_total_flops()


@pytest.mark.parametrize(("number", "preset"), [(0, "compact"), (1, "mnist-compact"), (2, "S")])
def test_sizes_are_those_of_the_presets(number, preset):
    spelt, model = SIZES[number].model.model_dump(exclude={"preset"}), SiTRecipe(preset=preset)
    assert spelt == model.model_dump(exclude={"preset"})


def test_it_runs_on_torch_and_numpy_alone_and_prints_a_table():
    code = f"""
import sys
for name in {BLOCKED}:
    sys.modules[name] = None
del sys.modules["pydantic"], sys.modules["pydantic_core"]
sys.path.insert(0, "")
class Blocked:
    def find_spec(self, name, *_):
        if name.split(".")[0] in ("pydantic", "pydantic_core"):
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
from tests.benchmarks.bench_gpu import main
sys.exit(main(["--device", "cpu", "--smoke"]))
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "FAIL" not in done.stdout
    assert "| " + " | ".join(COLUMNS) + " |" in lines
    rows = [line.split(" | ") for line in lines if line.startswith("| tiny")]
    assert {row[1] for row in rows} == {
        *("(a) eager", "(b) captured", "captured"),
        *("(c) 2 processes, eager", "(c) 2 processes, captured"),
    }
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert not any(line.startswith("left out") for line in lines)

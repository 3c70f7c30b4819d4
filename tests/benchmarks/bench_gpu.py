"""`make bench-gpu`: what lanes, CUDA graphs and torch.compile are worth on a card, as one markdown table.

Needs torch, numpy and this repository, nothing else. First it checks that what is timed computes the right thing (and
ends with status 1 if not), then it trains K = 1, 2, 4, .. lanes of three sizes and compares them with (a) one lane
called step by step, (b) one lane compiled or captured and (c) as many processes as fit, which share the card. A
trial's hour counts training alone. Ends within `--budget` seconds: what no longer fits is left out and named.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from tests.benchmarks.bare import lend_pydantic

lend_pydantic()

import torch  # noqa: E402

from tests.benchmarks.gpu_checks import checks  # noqa: E402
from tests.benchmarks.gpu_children import Answer, Child, serve  # noqa: E402
from tests.benchmarks.gpu_program import (  # noqa: E402
    SIZES,
    TINY,
    Mode,
    Program,
    Size,
    clean,
    matmul_rate,
    seconds_a_call,
    settings,
)

LANES = (1, 2, 4, 8, 16, 32, 64, 128)
PROCESSES = (4, 8, 16)
COMPILED = ((0, 1), (1, 1), (2, 1), (0, 32))  # (number of the size, lanes); a minute or two each
AFTER_COMPILING = 150.0  # seconds kept for what is measured after it
COLUMNS = ("size", "how", "lanes", "ms a step", "trials/h", "x (a)", "x best of (b), (c)", "TFLOP/s", "of matmul")
COLUMNS += ("dispersion", "GiB")


class Plan(NamedTuple):
    """What is measured, and for how long."""

    device: torch.device
    sizes: tuple[Size, ...]
    lanes: tuple[int, ...]
    processes: tuple[int, ...]
    compiled: tuple[tuple[int, int], ...]
    seconds: float
    ends: float

    def left(self) -> float:
        """Return the seconds that may still be spent."""
        return self.ends - time.monotonic()


class Row(NamedTuple):
    """One measurement: so many lanes take `step` seconds together; `dispersion` is the share the loss adds."""

    size: Size
    how: str
    lanes: int
    step: float
    dispersion: float | None = None
    gib: float | None = None

    @property
    def hourly(self) -> float:
        """Trials an hour."""
        return 3600 * self.lanes / (self.step * self.size.steps)

    @property
    def flops(self) -> float:
        """Operations a second."""
        return self.lanes * self.size.step_flops / self.step


def measured(plan: Plan, size: Size, how: str, lanes: int, mode: Mode, compare: bool) -> Row:
    """Time a step of `lanes` lanes, all of them dispersing; if `compare`, also without."""
    clean(plan.device)
    step, captured = _step(plan, size, lanes, mode, 0.25)
    if mode == "captured" and plan.device.type == "cuda" and not captured:
        how = f"{how}: FAILED, so eager"
    gib = torch.cuda.max_memory_reserved() / 2**30 if plan.device.type == "cuda" else None
    clean(plan.device)
    share = step / _step(plan, size, lanes, mode, 0.0)[0] - 1 if compare else None
    return Row(size, how, lanes, step, share, gib)


def _step(plan: Plan, size: Size, lanes: int, mode: Mode, lam: float) -> tuple[float, bool]:
    program = Program(size, settings(size, lanes, lam), plan.device, mode)
    return seconds_a_call(program.step, plan.device, plan.seconds), program.captured


def lane_rows(plan: Plan, size: Size) -> Iterator[Row | str]:
    """Measure more and more lanes captured, until memory or time is out."""
    for lanes in plan.lanes:
        if plan.left() < 0:
            yield f"{size.name}: no time left for {lanes} lanes and more"
            return
        try:
            yield measured(plan, size, "(b) captured" if lanes == 1 else "captured", lanes, "captured", compare=True)
        except torch.OutOfMemoryError:
            yield f"{size.name}: {lanes} lanes do not fit in memory"
            return


def eager_rows(plan: Plan) -> Iterator[Row]:
    """Measure (a). Not beside the compilers: it needs the host more than all else does."""
    return (measured(plan, size, "(a) eager", 1, "eager", compare=False) for size in plan.sizes)


class Compiling:
    """Compiles in processes of their own, from the start of the benchmark on: replays hardly need the host."""

    def __init__(self, plan: Plan, arguments: list[str]) -> None:
        self._plan = plan
        self._children = {wanted: Child(arguments) for wanted in plan.compiled}
        for (size, lanes), child in self._children.items():
            child.ask(size=size, lanes=lanes, mode="compiled")

    def rows(self) -> Iterator[Row | str]:
        """Time what was compiled in time."""
        for (number, lanes), child in self._children.items():
            size, rate = self._plan.sizes[number], child.answer(self._plan.left() - AFTER_COMPILING)
            if "error" not in rate:
                child.ask(seconds=3 * self._plan.seconds)
                rate = child.answer(30)
            child.close()
            if "error" in rate:
                yield f"{size.name}: {lanes} compiled lanes: {rate['error']}"
            else:
                name = "(b) compiled, captured" if lanes == 1 else "compiled, captured"
                yield Row(size, name, lanes, 1 / float(str(rate["rate"])))

    def close(self) -> None:
        """End what is still compiling."""
        for child in self._children.values():
            child.close()


def process_rows(plan: Plan, arguments: list[str]) -> Iterator[Row | str]:
    """Measure (c): the rates of processes of one lane each that run at the same time, added up."""
    if not plan.processes:
        return
    children = [Child(arguments) for _ in range(max(plan.processes))]
    try:
        for number, size in enumerate(plan.sizes):
            for mode in ("eager", "captured"):
                for count in plan.processes:
                    if plan.left() < 20:
                        yield f"{size.name}: no time left for {count} processes, {mode}"
                        continue
                    yield _shared(plan, children[:count], number, size, mode)
    finally:
        for child in children:
            child.close()


def _shared(plan: Plan, children: list[Child], number: int, size: Size, mode: str) -> Row | str:
    answers = _ask_all(plan, children, size=number, lanes=1, mode=mode)
    if not any("error" in answer for answer in answers):
        answers = _ask_all(plan, children, seconds=4 * plan.seconds)
    for answer in answers:
        if "error" in answer:
            return f"{size.name}: {len(children)} processes, {mode}: {answer['error']}"
    rate = sum(float(str(answer["rate"])) for answer in answers)
    return Row(size, f"(c) {len(children)} processes, {mode}", len(children), len(children) / rate)


def _ask_all(plan: Plan, children: list[Child], **command: object) -> list[Answer]:
    until = time.monotonic() + min(60.0, plan.left())
    for child in children:
        child.ask(**command)
    return [child.answer(until - time.monotonic()) for child in children]


def table(rows: list[Row], peak: float) -> str:
    """Return the rows as markdown, compared within each size."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for row in rows:
        eager, alone = _references(rows, row.size)
        share = "" if row.dispersion is None else f"{100 * row.dispersion:+.1f} %"
        cells = [row.size.name, row.how, str(row.lanes), f"{1000 * row.step:.3g}", f"{row.hourly:.4g}"]
        cells += [f"{row.hourly / eager:.2f}", f"{row.hourly / alone:.2f}"]
        cells += [f"{row.flops / 1e12:.3g}", f"{100 * row.flops / peak:.1f} %", share]
        lines.append("| " + " | ".join([*cells, "" if row.gib is None else f"{row.gib:.1f}"]) + " |")
    return "\n".join(lines)


def _references(rows: list[Row], size: Size) -> tuple[float, float]:
    # Trials an hour of (a), and of the best of (b) and (c).
    own = [row for row in rows if row.size == size]
    return (
        next(row.hourly for row in own if row.how.startswith("(a)")),
        max((row.hourly for row in own if row.how.startswith(("(b)", "(c)"))), default=float("nan")),
    )


def goals(rows: list[Row]) -> Iterator[str]:
    """Say of each goal whether it is reached."""
    for size in dict.fromkeys(row.size for row in rows):
        own = [row for row in rows if row.size == size]
        (eager, alone), best = _references(rows, size), max(own, key=lambda row: row.hourly)
        wanted = {"digits-compact": (10, 4), "SiT-S/2 latents": (None, 1)}.get(size.name, (None, None))
        for name, reference, times in (("(a)", eager, wanted[0]), ("the best of (b), (c)", alone, wanted[1])):
            if times is not None:
                got = best.hourly / reference
                yield f"{size.name}: {got:.2f} x {name} with {best.lanes} lanes (goal {times}): {_word(got >= times)}"
        shares = [(row.dispersion, row.lanes) for row in own if row.dispersion is not None]
        if shares:
            most = max(shares)
            said = f"{size.name}: Dispersive Loss costs at most {100 * most[0]:.1f} %, with {most[1]} lanes (goal 2 %)"
            yield f"{said}: {_word(most[0] <= 0.02)}"


def _word(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def main(arguments: list[str] | None = None) -> int:
    """Run it; return 1 if a check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, in under a minute on two cores")
    parser.add_argument("--budget", type=float, default=440.0, help="seconds")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    device, ends = torch.device(given.device), time.monotonic() + given.budget
    sizes = TINY if given.smoke else SIZES
    if device.type == "cpu":
        torch.set_num_threads(1)  # two threads wait for each other at these sizes
    if given.child:
        serve(sizes, device)
        return 0
    passed = ["--device", given.device] + ["--smoke"] * given.smoke
    plan = Plan(device, sizes, LANES, PROCESSES, COMPILED, 0.5, ends)
    if given.smoke:
        plan = plan._replace(lanes=(1, 2), processes=(2,), compiled=(), seconds=0.02)
    return report(plan, passed)


def report(plan: Plan, passed: list[str]) -> int:
    """Check, measure and print; return 1 if a check fails."""
    name = torch.cuda.get_device_name(plan.device) if plan.device.type == "cuda" else "CPU"
    results, rows, missing = [], [], []
    with contextlib.closing(Compiling(plan, passed)) as compiling:
        for check in checks(TINY[0], plan.device):
            results.append(check.holds)
            print(
                f"{'ok  ' if check.holds else 'FAIL'} {check.claim}: {check.difference:.1e} <= {check.allowed:g}",
                flush=True,
            )
        peak = matmul_rate(plan.device, plan.seconds)
        sources = [lane_rows(plan, size) for size in plan.sizes]
        for source in [*sources, compiling.rows(), eager_rows(plan), process_rows(plan, passed)]:
            for each in source:
                print(each if isinstance(each, str) else f"{each.size.name}, {each.how}, {each.lanes}", file=sys.stderr)
                (missing if isinstance(each, str) else rows).append(each)
        rows.sort(key=lambda row: (plan.sizes.index(row.size), row.how[0] != "(", row.lanes))
    print(f"\n{name}, torch {torch.__version__}, bf16 products; a large product runs at {peak / 1e12:.3g} TFLOP/s\n")
    print(table(rows, peak), "", *goals(rows), *(f"left out: {line}" for line in missing), sep="\n")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

"""Processes that share a card: each prepares a program when told to, and says how many steps a second it took."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time

import torch

from tests.benchmarks.gpu_program import Program, Size, settings, settle

Answer = dict[str, object]


class Child:
    """One such process; asking it returns at once, its answer is waited for.

    Commands are numbered, so that an answer that came too late is not taken for the next one's.
    """

    def __init__(self, arguments: list[str]) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.bench_gpu", "--child", *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answers: queue.Queue[str] = queue.Queue()
        self._asked = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def ask(self, **command: object) -> None:
        """Send a command; a process that is gone answers with nothing."""
        assert self._process.stdin is not None
        self._asked += 1
        try:
            self._process.stdin.write(json.dumps({"number": self._asked, **command}) + "\n")
            self._process.stdin.flush()
        except OSError:
            self._answers.put("")

    def answer(self, seconds: float) -> Answer:
        """Return its answer to the last command, or an error if none comes in time."""
        until = time.monotonic() + seconds
        while True:
            try:
                line = self._answers.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return {"error": f"no answer in {seconds:.0f} s"}
            answer: Answer = json.loads(line) if line else {"error": "the process ended"}
            if answer.get("number", self._asked) == self._asked:
                return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                self._answers.put(line)
        self._answers.put("")


def serve(sizes: tuple[Size, ...], device: torch.device) -> None:
    """Answer the commands that come on standard input, until it closes."""
    torch.set_num_threads(1)
    program: Program | None = None
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if "size" in command:
                program = None  # its memory goes before the next one's is taken
                program = _prepare(sizes[command["size"]], command, device)
                answer: Answer = {"ready": program.captured}
            else:
                assert program is not None
                answer = {"rate": _rate(program, device, command["seconds"])}
        except Exception as error:  # out of memory, no compiler: a figure less, and it is said why
            answer = {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"}
        print(json.dumps({"number": command["number"], **answer}), flush=True)


def _prepare(size: Size, command: dict[str, object], device: torch.device) -> Program:
    if device.type == "cuda":
        torch.cuda.empty_cache()
    lanes = int(str(command["lanes"]))
    program = Program(size, settings(size, lanes, 0.25), device, mode=command["mode"])  # type: ignore[arg-type]
    for _ in range(6):
        program.step()
    settle(device)
    return program


def _rate(program: Program, device: torch.device, seconds: float) -> float:
    # Steps a second over a time that all processes share; the queue is drained every few steps, so none runs ahead.
    begun, steps = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        for _ in range(8):
            program.step()
        settle(device)
        steps += 8
    return steps / (time.perf_counter() - begun)

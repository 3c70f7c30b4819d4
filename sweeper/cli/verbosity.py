"""`-q` and `-v`, which every command takes: how much it prints to stderr."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Annotated, Any, TypeVar, cast

import typer

from sweeper.cli.terminal import log_errors_alone, log_everything
from sweeper.text.verbosity import set_verbosity

Function = TypeVar("Function", bound=Callable[..., None])

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors alone: no progress, no warnings.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print to stderr what sweeper logs and its libraries warn of.")
]


def with_verbosity(function: Function) -> Function:
    """Add both options to a command; the function itself need not know of them."""

    @functools.wraps(function)
    def command(*, quiet: bool, verbose: bool, **arguments: Any) -> None:
        if quiet and verbose:
            raise typer.BadParameter("--quiet and --verbose exclude each other")
        set_verbosity(quiet, verbose)
        if quiet:
            log_errors_alone()
        if verbose:
            log_everything()
        function(**arguments)

    signature = inspect.signature(function, eval_str=True)
    options = {"quiet": Quiet, "verbose": Verbose}
    added = [Parameter(name, Parameter.KEYWORD_ONLY, default=False, annotation=kind) for name, kind in options.items()]
    # What Typer reads, instead of the parameters above.
    command.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])  # type: ignore[attr-defined]
    command.__annotations__ = {**function.__annotations__, **options}
    return cast(Function, command)

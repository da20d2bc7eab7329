"""The composition root: the only file that knows configurations, environments, models and agents together.

worldmodel COMMAND [--flags] [key=value ...]        # also: python -m worldmodel
"""

from __future__ import annotations

import io
import logging
import os
import sys
import time
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agents import arguments, parsing
from worldmodel.errors import ConfigError, LostRankError, MissingExtraError, WorldModelError
from worldmodel.train.launch import launched_rank

if TYPE_CHECKING:
    import gymnasium

    from agents.experiment import EnvConfig

USER_MISTAKE, BUG, INTERRUPTED = 2, 1, 130
"""Exit codes."""
PATIENCE = 10.0
"""Time in which another process may tell the same [s]."""
GO_ON = "run the same command again to go on"


def main(words: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for a user's mistake, 130 after Ctrl-C; one line says why."""
    given = list(sys.argv[1:] if words is None else words)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without UTF-8 lacks a character, and no line
    debug = "--debug" in given or os.environ.get("WORLDMODEL_DEBUG") == "1"
    try:
        return run(parsing.parse([word for word in given if word != "--debug"] or ["--help"]))
    except KeyboardInterrupt as stop:
        told = any(words in str(stop) for words in ("again", "to go on"))
        said = str(stop) if told else "; ".join(filter(None, (str(stop), GO_ON)))
        if launched_rank() == 0:
            _last_words(f"interrupted: {said}", debug)
        return INTERRUPTED
    except BrokenPipeError:  # `worldmodel inspect DATA | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (WorldModelError, OSError) as error:
        _last_words(f"error: {error}", debug, at_once=isinstance(error, LostRankError))
        return USER_MISTAKE
    except Exception as error:
        _last_words(f"error: {type(error).__name__}: {error}; this is a bug, --debug shows where", debug)
        return BUG


def run(command: arguments.Command) -> int:
    """Do what the command says and return the exit code."""
    from agents import gl
    from agents.console import Screen

    gl.choose_backend()
    screen = Screen()
    if launched_rank():  # of several processes, the first one tells
        logging.disable(logging.WARNING)
        screen = Screen(open(os.devnull, "w"))  # noqa: SIM115 (open to the end)
    if isinstance(command, arguments.Doctor):
        from agents import doctor

        return doctor.show(doctor.examine(doctor.CHECKS | {"robots": _robots}), screen)
    from agents import commands

    return commands.run(command, make_env, screen)


def _robots() -> str:
    """Robots that can be asked for here: an answer of the doctor's."""
    from envs.robots import available

    return available()


def make_env(config: EnvConfig, **overrides: Any) -> gymnasium.Env:
    """The environment of a configuration, `overrides` over its keyword arguments, by whomever it was written.

    Raises ConfigError when it cannot be made, MissingExtraError when the package that has it is not installed.
    """
    from agents import gl

    gl.require_context()
    import gymnasium

    import envs

    kwargs = {**config.kwargs, **overrides}
    named = "max_steps" in config.kwargs and "max_sweeps" in overrides
    if "max_sweeps" in kwargs and (envs.counts_steps(config.id) or named):
        kwargs["max_steps"] = kwargs.pop("max_sweeps")  # an evaluation's budget, by the name that it has there
    try:
        return envs.make(config.id, **kwargs)
    # Gymnasium's own complaints, an unknown keyword argument, or a value that the environment refuses.
    except (gymnasium.error.Error, TypeError, ValueError) as error:
        raise ConfigError(f"env {config.id!r} cannot be made: {error}") from error
    except ModuleNotFoundError as error:
        missing = error.name or config.id.partition(":")[0]
        remedy = "pip install 'worldmodel[worlds]', or the package that has it"
        raise MissingExtraError(f"env {config.id!r} needs the module {missing}, which is not installed: {remedy}") from error


def _last_words(text: str, debug: bool, at_once: bool = False) -> None:
    if rank := launched_rank():
        # What befell all of them is told by the first one, whose end is the end of all; what befell this one alone, here.
        time.sleep(0 if at_once else PATIENCE)
        text = f"process {rank}: {text}"
    if debug:
        traceback.print_exc()
    print(" ".join(text.split()), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

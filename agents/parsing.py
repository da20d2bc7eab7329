"""Words of the command line -> a command; a slip is told in one line.

tyro reads them; what it says about a slip is brought down to one line here. Nothing heavy is imported, so that `--help`
answers at once.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import re
from collections.abc import Sequence
from typing import get_args, get_type_hints

import tyro

from agents.arguments import COMMANDS, Command
from worldmodel.errors import ConfigError, unknown_name

DESCRIPTION = """Learn a latent world model from recorded rollouts, plan in it, and clear the table in MuJoCo.
Settings come from a YAML file and from key=value words, such as train.num_steps=2000.
--debug anywhere (or WORLDMODEL_DEBUG=1) shows the traceback of an error."""

_OVERRIDE = r"[A-Za-z_][\w.]*="


def parse(words: Sequence[str]) -> Command:
    """The command that the words ask for. ConfigError in one line for a slip; SystemExit(0) after --help."""
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        raise ConfigError(unknown_name("command", words[0], COMMANDS))
    if words and words[0] in COMMANDS:
        _require_flags(words[0], words[1:])
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.extras.subcommand_cli_from_dict(
                COMMANDS,
                args=_overrides_last(_ray_address(words)),
                prog="worldmodel",
                description=DESCRIPTION,
                config=(tyro.conf.HelptextFromCommentsOff,),
            )
    except SystemExit as leave:
        if not leave.code:
            raise
        raise ConfigError(_one_line(complaint.getvalue(), words[0])) from None


def _require_flags(command: str, words: Sequence[str]) -> None:
    """Raise ConfigError for a flag that the command does not have, which the parser tells only after what is missing."""
    hints = get_type_hints(COMMANDS[command], include_extras=True)
    positional = get_args(tyro.conf.Positional[int])[1]
    flags = [f"--{name.replace('_', '-')}" for name, hint in hints.items() if positional not in get_args(hint)]
    given: set[str] = set()
    for word in words:
        flag = word.partition("=")[0].replace("_", "-")
        if not re.match(r"--?[A-Za-z]", word) or flag in ("--help", "-h"):
            continue
        if flag not in flags:
            nearest = difflib.get_close_matches(f"--{flag.lstrip('-')}", flags, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"expected {', '.join(flags) or 'none'}"
            raise ConfigError(f"worldmodel {command} has no flag {word.partition('=')[0]}; {hint}")
        if flag in given and flag != "--data":
            raise ConfigError(f"{flag} is given twice; expected it once")
        given.add(flag)


def _ray_address(words: Sequence[str]) -> list[str]:
    """The words with `local` after a --ray that has no address."""
    given = list(words)
    if "--ray" in given:
        place = given.index("--ray") + 1
        if place == len(given) or given[place].startswith("--") or re.match(_OVERRIDE, given[place]):
            given.insert(place, "local")
    return given


def _overrides_last(words: Sequence[str]) -> list[str]:
    """The words with every key=value that is no flag's value moved to the end, where the parser wants them."""
    flags, overrides = [], []
    for i, word in enumerate(words):
        after_flag = i > 0 and words[i - 1].startswith("--") and "=" not in words[i - 1] and words[i - 1] != "--resume"
        (overrides if re.match(_OVERRIDE, word) and not after_flag else flags).append(word)
    return flags + overrides


def _one_line(box: str, command: str) -> str:
    """tyro's box of several lines as one sentence."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    sections: list[list[str]] = [[]]
    for line in plain.splitlines():
        text = line.strip().strip("│").strip()
        if not text or text[0] in "╭╰":
            continue
        if set(text) <= set("─-"):
            sections.append([])
        else:
            sections[-1].append(text)
    if "╭" not in plain:  # without UTF-8 the title has a section of its own
        sections = sections[1:]
    message = " ".join(sections[0])
    if value := re.match(r"Error parsing (\S+): .*?(?:\['|base 10: ')(.*?)'", message):
        message = f"{value[1]}: expected a whole number, got {value[2]!r}"
    elif missing := re.match(r"Missing from (worldmodel \w+): +(--\S+ \S+|\S+)", message):
        message = f"{missing[1]} needs {missing[2]}"
    elif empty := re.match(r"Missing value for argument '(.*?)'", message):
        message = f"{empty[1]} needs a value"
    message = message[:1].lower() + message[1:]
    return f"{message.rstrip('.')}; see worldmodel {f'{command} ' if command in COMMANDS else ''}--help"

"""``fiducial completion``: a script by which a shell completes commands, options and what options take."""

from __future__ import annotations

import importlib
import re
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fiducial import plugins
from fiducial.cli import COMMANDS, common
from fiducial.config import Config, fields_of, option, type_name

Shell = Literal["bash", "zsh", "fish"]
INNER = {"misground": ("build", "run", "score"), "serve": ("reward",)}
"""Commands with commands of their own, which are described beside them by classes of these names."""


@dataclass(frozen=True, kw_only=True)
class Completion(Config):
    """Print a script by which a shell completes commands, options and what options take.

    bash: source <(fiducial completion bash), in ~/.bashrc. zsh: fiducial completion zsh > DIR/_fiducial, DIR one of
    $fpath. fish: fiducial completion fish > ~/.config/fish/completions/fiducial.fish. Make it anew after an update.
    """

    shell: Shell = option(help="bash, zsh or fish", positional=True)


@dataclass(frozen=True, slots=True)
class Word:
    """One option of a command, or what stands behind it without a name.

    Args:
        name: such as ``--out``; "" for what stands behind the command.
        help: one line for people.
        takes: whether a value follows.
        values: what the value may begin with; none: a file or anything else.
    """

    name: str
    help: str
    takes: bool
    values: tuple[str, ...] = ()


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Completion, "completion", words)
    print(SCRIPTS[options.shell](tree()))
    return 0


def tree() -> dict[str, list[Word]]:
    """Return the options of every command, and of the commands in commands as ``"misground build"``."""
    known = _known_names()
    found = {}
    for command in COMMANDS:
        module = importlib.import_module(f"fiducial.cli.{command}")
        described = [one for one in vars(module).values() if _is_described(one) and one.__module__ == module.__name__]
        inner = {one.__name__.lower(): one for one in described if one.__name__.lower() in INNER.get(command, ())}
        own = [one for one in described if one.__name__.lower() not in inner]
        found[command] = [*_words(own[-1], known)] if own else []  # those before it are what it is made of
        for name, one in inner.items():
            found[f"{command} {name}"] = [*_words(one, known)]
    return found


def _is_described(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Config) and value is not Config


def _known_names() -> dict[str, tuple[str, ...]]:
    """Return what options of a name may take, whichever command has them."""
    from fiducial.language.dialects import DIALECTS
    from fiducial.metrics import POLICIES
    from fiducial.recipes import recipe_names
    from fiducial.training.recipes import config_names

    named = {"prompter": "prompter", "segmenter": "segmenter", "decode": "decoding", "what": "training"}
    refiners = (*plugins.names("prompt_refiner"), *plugins.names("mask_refiner"))
    listed = {"recipe": recipe_names(), "dialect": DIALECTS, "policy": POLICIES, "refine": refiners}
    listed["config"] = config_names()
    return {
        **{name: tuple(plugins.names(kind)) for name, kind in named.items()},
        **{name: tuple(names) for name, names in listed.items()},
    }


def _words(described: type[Config], known: dict[str, tuple[str, ...]]) -> Iterator[Word]:
    for field, hint in fields_of(described):
        about = field.metadata
        values = known.get(field.name, ()) if "text" in type_name(hint) else _literals(hint)
        if about["positional"]:
            yield Word("", about["help"], True, values)
        else:
            name = f"--{'no-' if field.default is True else ''}{field.name.rstrip('_').replace('_', '-')}"
            yield Word(name, about["help"], hint is not bool, values)


def _literals(hint: Any) -> tuple[str, ...]:
    """Return the words of a Literal, which may stand in a tuple or beside None."""
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        return tuple(map(str, inner))
    return next(filter(None, map(_literals, inner)), ())


# -- the scripts ----------------------------------------------------------------------------------


def _bash(commands: dict[str, list[Word]]) -> str:
    """Write the script of bash, which shows no help beside the words."""
    cases = []
    for command in sorted(commands, key=lambda name: -name.count(" ")):  # "misground "* holds for "misground run" too
        words = commands[command]
        for word in words:
            if word.name and word.takes:  # "/" stands for files
                cases.append(f"    \"{command} {word.name}\") values='{' '.join(word.values) or '/'}' ;;")
        any_word = [*(word.name for word in words if word.name), *_behind(command, words)]
        cases.append(f"    \"{command} \"*) values='{' '.join(any_word)}' ;;")
    return _BASH.format(commands=" ".join(COMMANDS), inner="|".join(_inner_commands()), cases="\n".join(cases))


_BASH = """# fiducial completion bash
_fiducial() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" command="${{COMP_WORDS[1]}}" values
  if (( COMP_CWORD == 1 )); then
    COMPREPLY=($(compgen -W '{commands}' -- "$word"))
    return
  fi
  if (( COMP_CWORD > 2 )); then
    case "$command ${{COMP_WORDS[2]}}" in
    {inner}) command="$command ${{COMP_WORDS[2]}}" ;;
    esac
  fi
  case "$command $before" in
{cases}
  esac
  COMPREPLY=()
  if [[ $values != / ]]; then COMPREPLY=($(compgen -W "$values" -- "$word")); fi
  if [[ ${{#COMPREPLY[@]}} == 0 ]]; then compopt -o filenames; COMPREPLY=($(compgen -f -- "$word")); fi
}}
complete -F _fiducial fiducial"""


def _zsh(commands: dict[str, list[Word]]) -> str:
    """Write the script of zsh."""

    def argument(word: Word) -> str:
        said = re.sub(r"([\[\]:\\])", r"\\\1", word.help).replace("'", "'\\''")
        action = f":({' '.join(word.values)})" if word.values else ":_files"
        if not word.name:
            return f"'*:{said}{action}'"
        return f"'*{word.name}[{said}]" + (f": {action}'" if word.takes else "'")

    def behind(command: str, words: list[Word]) -> str:
        named = [argument(word) for word in words if word.name]
        nameless = [word for word in words if not word.name]
        values = (*INNER.get(command, ()), *(value for word in nameless for value in word.values))
        last = f"'*: :{{compadd -- {' '.join(values)}; _files}}'" if values else "'*: :_files'"
        return " \\\n      ".join(["_arguments", *named, last])

    listed = "\n".join(f"    {_quoted(f'{name}:{what}')}" for name, what in COMMANDS.items())
    cases = "\n".join(
        f"    ({command.replace(' ', '-')}) {behind(command, words)} ;;" for command, words in commands.items()
    )
    return _ZSH.format(listed=listed, cases=cases, inner="|".join(_inner_commands(quote="")))


_ZSH = """#compdef fiducial
_fiducial() {{
  local command=$words[2]
  local -a commands=(
{listed}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  if (( CURRENT > 3 )); then
    case "$words[2]-$words[3]" in
    ({inner}) command="$words[2]-$words[3]"; shift words; (( CURRENT-- )) ;;
    esac
  fi
  shift words
  (( CURRENT-- ))
  case $command in
{cases}
  esac
}}
if [[ $funcstack[1] == _fiducial ]]; then _fiducial "$@"; else compdef _fiducial fiducial; fi"""


def _fish(commands: dict[str, list[Word]]) -> str:
    """Write the script of fish."""
    lines = ["# fiducial completion fish"]
    for name, what in COMMANDS.items():
        lines.append(f"complete -c fiducial -n __fish_use_subcommand -f -a {name} -d {_quoted(what)}")
    for command, words in commands.items():
        seen = "; and ".join(f"__fish_seen_subcommand_from {part}" for part in command.split())
        when = f"complete -c fiducial -n {_quoted(seen)}"
        if behind := _behind(command, words):
            lines.append(f"{when} -a {_quoted(' '.join(behind))}")
        for word in words:
            if word.name:
                takes = (" -r" if word.takes else "") + (
                    f" -f -a {_quoted(' '.join(word.values))}" if word.values else ""
                )
                lines.append(f"{when} -l {word.name.removeprefix('--')}{takes} -d {_quoted(word.help)}")
    return "\n".join(lines)


def _behind(command: str, words: Sequence[Word]) -> list[str]:
    """Return the words that may stand behind a command without a name."""
    return [*INNER.get(command, ()), *(value for word in words if not word.name for value in word.values)]


def _inner_commands(quote: str = '"') -> list[str]:
    return [f"{quote}{command}{' ' if quote else '-'}{name}{quote}" for command in INNER for name in INNER[command]]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


SCRIPTS: dict[Shell, Callable[[dict[str, list[Word]]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}

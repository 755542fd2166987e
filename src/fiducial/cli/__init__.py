"""The command line: one thin file per command, loaded only when that command runs."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from fiducial.cli import terminal
from fiducial.errors import FiducialError, InputError, UnknownNameError

COMMANDS = {
    "samples": "write pictures to try things on",
    "segment": "segment images by instruction",
    "batch": "segment every row of a manifest; can be stopped and goes on",
    "cut": "cut masks from boxes and points that you give",
    "parse": "read a model's reply from stdin into coordinates",
    "overlay": "draw a grid onto an image, as a model would see it",
    "evaluate": "measure a recipe on a dataset; can be stopped and goes on",
    "merge": "put the shards of a run together, or count it by another policy",
    "score": "score predictions that were made elsewhere",
    "compare": "put runs side by side, with paired intervals and published figures",
    "study": "vary one thing: the grid, the prompts, the target's size, the recipe, the refiners",
    "train": "train a mask decoder or the nano segmenter; can be stopped and goes on",
    "serve": "answer over HTTP and show the page on which coordinates can be dragged; or agents, or trainers",
    "export": "write a dataset as chats, to train a vision-language model with elsewhere",
    "refer": "make instructions with exact truth from annotations: expressions, or PRS-Med's questions",
    "misground": "a benchmark of where things are in CT and MR volumes: build it, ask a model, score it",
    "recipes": "list the recipes",
    "describe": "list the parts that can be named, or the options of one",
    "models": "list checkpoints, their licences, and which are on this machine",
    "doctor": "show versions, devices, memory, cache, and what each recipe still needs",
    "completion": "print a script by which bash, zsh or fish completes all of this",
}
_HEADINGS = {  # above the first command of each group
    "samples": "cut what words or coordinates name",
    "evaluate": "measure, and compare",
    "train": "train",
    "serve": "serve programs elsewhere",
    "export": "make data and questions with exact answers",
    "recipes": "look up",
}

_LONGEST = 2000
DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def entry() -> NoReturn:
    """Run the command of the process and leave at once.

    Tearing down torch takes over half a second, and so does looking for garbage while it is loaded: what was asked to
    run at the end is run, what was written is written, and the rest is left to the operating system.
    """
    gc.set_threshold(100_000)
    for descriptor, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None and os.name == "posix":  # closed: no file that is opened later may take its number
            _occupy(descriptor)
    status = main()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads any more
            if stream is not None:
                stream.flush()
    os._exit(status)


def _occupy(descriptor: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    if nothing != descriptor:
        os.dup2(nothing, descriptor)
        os.close(nothing)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``fiducial``; default: those of the process.

    Returns:
        The exit status: 0 done (also when there was no target), 1 a model or server failed,
        2 bad input, or an output that cannot be written.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    until = given.index("--") if "--" in given else len(given)
    debug = "--debug" in given[:until]
    # Idle OpenMP threads spin: beside one busy core they slow the default recipe five times. Read when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("KMP_BLOCKTIME", "1")  # milliseconds; the same for torch that is built with LLVM's OpenMP
    with terminal.guarded():
        if not debug:
            _quieten()
        return _run([word for word in given[:until] if word != "--debug"] + given[until:], debug)


def _run(words: list[str], debug: bool) -> int:
    try:
        terminal.check_output()
        try:
            status = _dispatch(words)
        except SystemExit as leaving:  # argparse has printed its help
            status = int(leaving.code or 0)
        sys.stdout.flush()
        return status
    except FiducialError as error:
        if debug:
            raise
        _complain(str(error))
        return BAD_INPUT if isinstance(error, InputError) else FAILED
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except (OSError, MemoryError) as error:  # of the machine, not of the program
        if debug:
            raise
        _complain(_machine(error))
        return BAD_INPUT if isinstance(error, OSError) else FAILED
    except Exception as error:  # the last line of defence: one line instead of a traceback
        if debug:
            raise
        _complain(f"unexpected {type(error).__name__}: {error} (a bug: please report it with the output of --debug)")
        return FAILED


def _machine(error: OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "out of memory"
    name = "" if error.filename is None else f"{str(error.filename)[:200]}: "
    return f"{name}{error.strerror or error or type(error).__name__}"


def _quieten() -> None:
    """Keep the chatter of the model libraries off stderr, and their bars where nobody watches them."""
    for library in ("torch", "torch.utils._pytree", "torchao", "transformers", "huggingface_hub", "accelerate"):
        logging.getLogger(library).setLevel(logging.ERROR)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("TQDM_DISABLE", "1")


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return DONE
    if words[0] == "--version":
        from fiducial import __version__

        print(f"fiducial {__version__}")
        return DONE
    if words[0] not in COMMANDS:
        raise UnknownNameError("command", words[0], COMMANDS)
    command = importlib.import_module(f"fiducial.cli.{words[0]}")
    return int(command.run(words[1:]))


def _complain(message: str) -> None:
    line = " ".join(message.split())
    terminal.say(f"fiducial: {line if len(line) <= _LONGEST else f'{line[:_LONGEST]} ...'}")


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = []
    for name, what in COMMANDS.items():
        lines += ["", f"{_HEADINGS[name]}:"] if name in _HEADINGS else []
        lines.append(f"  {name:<{width}}  {what}")
    return "\n".join(
        [
            "usage: fiducial COMMAND ...",
            "",
            "Language in, coordinates between, masks out.",
            *lines,
            "",
            "fiducial COMMAND --help tells the options of a command; --version the version;",
            "--debug shows the traceback of an error.",
        ]
    )

"""The command line: one thin file per command, loaded only when that command runs."""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from fiducial.errors import FiducialError, InputError, UnknownNameError

COMMANDS = {
    "samples": "write pictures to try things on",
    "segment": "segment images by instruction",
    "cut": "cut masks from boxes and points that you give",
    "parse": "read a model's reply from stdin into coordinates",
    "overlay": "draw a grid onto an image, as a model would see it",
    "evaluate": "measure a recipe on a dataset; can be stopped and goes on",
    "merge": "put the shards of a run together, or count it by another policy",
    "score": "score predictions that were made elsewhere",
    "compare": "put runs side by side, with paired intervals and published figures",
    "study": "vary one thing: the grid, the prompts, the target's size, the recipe, the refiners",
    "train": "train a mask decoder or the nano segmenter; can be stopped and goes on",
    "serve": "cut the masks of a trainer's rewards, in a process or on a machine of their own",
    "export": "write a dataset as chats, to train a vision-language model with elsewhere",
    "refer": "make instructions with exact truth from annotations: expressions, or PRS-Med's questions",
    "misground": "a benchmark of where things are in CT and MR volumes: build it, ask a model, score it",
    "recipes": "list the recipes",
    "describe": "list the parts that can be named, or the options of one",
    "models": "list checkpoints, their licences, and which are on this machine",
    "doctor": "show versions, devices, memory, cache, and what each recipe still needs",
}

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def entry() -> NoReturn:
    """Run the command of the process and leave at once.

    Tearing down torch takes over half a second, and so does looking for garbage while it is loaded: what was asked to
    run at the end is run, what was written is written, and the rest is left to the operating system.
    """
    gc.set_threshold(100_000)
    status = main()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads any more
        pass
    os._exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``fiducial``; default: those of the process.

    Returns:
        The exit status: 0 done (also when there was no target), 1 a model or server failed,
        2 bad input.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    # Idle OpenMP threads spin: beside one busy core they slow the default recipe five times. Read when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    _write_anything()
    if not debug:
        _quieten()
    try:
        return _dispatch([word for word in given if word != "--debug"])
    except SystemExit as leaving:  # argparse has printed its help
        return int(leaving.code or 0)
    except FiducialError as error:
        if debug:
            raise
        _complain(str(error))
        return BAD_INPUT if isinstance(error, InputError) else FAILED
    except BrokenPipeError:  # the reader of our output left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except Exception as error:  # the last line of defence: one line instead of a traceback
        if debug:
            raise
        _complain(f"unexpected {type(error).__name__}: {error} (a bug: please report it with the output of --debug)")
        return FAILED


def _write_anything() -> None:
    """Let names that the terminal cannot write come out escaped instead of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


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
    print(f"fiducial: {' '.join(message.split())}", file=sys.stderr)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: fiducial COMMAND ...",
            "",
            "Language in, coordinates between, masks out.",
            "",
            *lines,
            "",
            "fiducial COMMAND --help tells the options of a command; --version the version;",
            "--debug shows the traceback of an error.",
        ]
    )

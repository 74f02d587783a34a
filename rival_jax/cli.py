"""The command `rival`: arguments in, library calls, files out. No method lives here."""

from __future__ import annotations

import io
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import fields, replace
from functools import partial
from typing import TypeVar

import tyro
from rich.console import Console

from rival_jax import __version__, samples
from rival_jax.arguments import (
    READ,
    REPEATED,
    Bench,
    Edit,
    Generate,
    Info,
    Inpaint,
    LearnConcept,
    Programs,
    Reproduce,
    Vary,
    Warmup,
)
from rival_jax.baselines.arguments import Compare
from rival_jax.demo.arguments import Demo
from rival_jax.errors import TOO_LITTLE_MEMORY, InputError, JobError, is_out_of_memory
from rival_jax.interpolation.arguments import Interpolate
from rival_jax.jobs.command import Action, Augment, parse, perform


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Bad input is one sentence on stderr and exit code 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    console = Console(stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True)
    warnings.showwarning = lambda message, *_: _say(console, f"warning: {message}", "yellow")
    if arguments == ["--version"]:
        print(f"rival_jax {__version__}")
        return
    try:
        with _in_one_line():
            command = command_of(arguments)
        _run(command, console)
    except InputError as error:
        sys.exit(_fail(console, str(error), 2))
    except JobError as error:
        sys.exit(_fail(console, str(error), 1))
    except BrokenPipeError:  # who read the output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        place, reason = error.filename or "The disk", error.strerror or error
        sys.exit(_fail(console, f"{place} cannot be written or read: {reason}.", 2))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        sys.exit(_fail(console, TOO_LITTLE_MEMORY, 1))
    except KeyboardInterrupt:
        sys.exit(_fail(console, "Interrupted; files already written are whole.", 130))


def _fail(console: Console, sentence: str, code: int) -> int:
    _say(console, f"error: {sentence}", "red")
    return code


def _say(console: Console, sentence: str, style: str = "") -> None:
    """Prints one line; what a file name or a prompt has of line breaks, terminal codes and the like is escaped."""
    console.print("".join(c if c.isprintable() else ascii(c)[1:-1] for c in sentence), style=style)


@contextmanager
def _in_one_line() -> Iterator[None]:
    """What tyro says of bad flags, in a box of several lines, as an InputError of one sentence."""
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            yield
    except SystemExit as end:
        if not end.code:
            raise
        words = " ".join(re.sub(r"\x1b\[[0-9;]*m|╭.*╮|[─-╿\s]+", " ", said.getvalue()).split())
        boxes = r"^[^-]*-{4,} | -{4,}"  # where the terminal has no lines to draw them with
        words = re.sub(rf"{boxes}| For full helptext.*| Perhaps you meant:.*", "", words)
        raise InputError(words.rstrip(".") + ".") from end


_APPLICATIONS: dict[str, type[Vary]] = {"vary": Vary, "generate": Generate, "edit": Edit, "inpaint": Inpaint}
_Photos = TypeVar("_Photos", Vary, Compare)
Command = Vary | Interpolate | Compare | LearnConcept | Info | Reproduce | Warmup | Bench | Demo | Action


def _run(command: Command, console: Console) -> None:
    """Does what was asked for; what it imports takes longer than `--help` should."""
    from rival_jax.progress import shown_on

    if isinstance(command, Info):
        from rival_jax.info import describe

        print(describe(command.model, command.dtype, command.num_variations, command.model_config), flush=True)
    elif isinstance(command, Vary):
        _draw(command, console)
    elif isinstance(command, Interpolate):
        from rival_jax.interpolation.run import interpolate

        with shown_on(console) as progress:
            files = interpolate(command, progress)
        _say(console, f"{command.out} has {', '.join(file.name for file in files)}.")
    elif isinstance(command, Compare):
        from rival_jax.baselines.run import compare

        command = _with_photo(command, console)
        with shown_on(console) as progress:
            table, files = compare(command, progress)
        print(table, flush=True)
        _say(console, f"{command.out} has {', '.join(file.name for file in files)}.")
    elif isinstance(command, LearnConcept):
        from rival_jax.run import learn

        with shown_on(console) as progress:
            written, how = learn(command, progress)
        _say(console, f"{written} holds the concept; use it with {how}.")
    elif isinstance(command, Action):
        perform(command, console, partial(_say, console))
    elif isinstance(command, Warmup):
        from rival_jax.run import warmup

        with shown_on(console) as progress:
            folder = warmup(command, progress)
        _say(console, f"Compiled programs are in {folder}." if folder else "Nothing was kept; RIVAL_CACHE says where.")
    elif isinstance(command, Demo):
        from rival_jax.demo.serve import serve

        with shown_on(console) as progress:
            page = serve(command, progress)
        _say(console, f"The page is at {page.local_url}; Ctrl-C ends it.")
        page.block_thread()
    elif isinstance(command, Bench):
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a GPU's memory is torch's too
        from rival_jax.bench.report import bench

        with shown_on(console) as progress:
            report, agree = bench(command, progress)
        print(report, flush=True)
        if not agree:
            sys.exit(1)
    else:
        from rival_jax.evidence.reproduce import reproduce

        with shown_on(console) as progress:
            tables, files = reproduce(command, progress)
        print(tables, flush=True)
        _say(console, f"{command.out} has {', '.join(file.name for file in files)}.")


def command_of(arguments: list[str]) -> Command:
    """The command with its arguments: defaults, then the config file, then flags."""
    description = "Training-free variation of real photos with Stable Diffusion (RIVAL), in JAX."
    description += " `rival --version` says which release this is."
    if arguments[:1] == ["augment"]:
        return parse(arguments[1:])
    commands = _APPLICATIONS | {"interpolate": Interpolate, "compare": Compare, "learn-concept": LearnConcept}
    commands |= {"augment": Augment, "info": Info, "reproduce": Reproduce, "warmup": Warmup, "bench": Bench}
    commands["demo"] = Demo
    command = tyro.extras.subcommand_cli_from_dict(commands, args=arguments, prog="rival", description=description)
    if not isinstance(command, Vary | Warmup) or not (config := command.config):
        return command
    from rival_jax.record import check_unchanged, read_settings

    kind = Vary if isinstance(command, Warmup) else type(command)
    defaults = kind(**read_settings(config, kind))
    if isinstance(command, Warmup):
        kept = {field.name: getattr(defaults, field.name) for field in fields(Programs)}
        rest = arguments[arguments.index("warmup") + 1 :]
        return tyro.cli(Warmup, args=rest, default=Warmup(**kept), prog="rival warmup")
    [name] = [name for name, application in _APPLICATIONS.items() if application is kind]
    rest = arguments[arguments.index(name) + 1 :]
    names = [field.name for field in fields(kind)]
    repeated = [name for name in names if name in REPEATED]
    emptied = replace(defaults, **dict.fromkeys(repeated, ()))
    command = tyro.cli(kind, args=rest, default=emptied, prog=f"rival {name}")
    command = replace(command, **{name: getattr(command, name) or getattr(defaults, name) for name in repeated})
    for name in names:
        if name in READ and getattr(command, name) == getattr(defaults, name):
            check_unchanged(config, name)
    return command


def _draw(args: Vary, console: Console) -> None:
    """Runs an application and says where its files are."""
    if not args.photos and type(args) is not Vary:
        raise InputError("photos is missing: name the photo, as in rival edit photo.jpg.")
    args = _with_photo(args, console)
    from rival_jax.progress import shown_on
    from rival_jax.run import run

    with shown_on(console) as progress:
        record = run(args, progress, partial(_say, console))
    if args.model == "tiny" and any(samples.DIRECTORY not in photo.parents for photo in args.photos):
        _say(console, "The embedded model knows a small drawn world only; for photographs name another with --model.")
    files, noun = record["files"], "variations" if type(args) is Vary else "pictures"
    _say(console, f"{args.out} has {len(files['variations'])} new {noun}, {files['sheet']} and {files['record']}.")


def _with_photo(args: _Photos, console: Console) -> _Photos:
    """Where no photo is given, with the sample and its caption."""
    if args.photos:
        return args
    sample, caption = samples.default()
    _say(console, f"No photo was given: the sample {sample.name} is varied.")
    return replace(args, photos=(sample,), prompt=args.prompt or (caption,))


if __name__ == "__main__":
    main()

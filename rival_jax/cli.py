"""The command `rival`: arguments in, library calls, files out. No method lives here."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from tyro.conf import Positional, UseAppendAction, arg

from rival_jax import samples
from rival_jax.errors import InputError
from rival_jax.options import Align, DType, Initial, Reference, TimestepConvention

REPEATED = ("prompt", "source_prompt", "negative_prompt", "seed")
"""Flags that may be given once a photo; they replace a config file's values, not extend them."""

ModelName = Annotated[str, arg(metavar="tiny|DIR|HUB-ID")]


@dataclass(frozen=True)
class Vary:
    """Make variations of a real photo: other pictures of the same subject, colours and style."""

    photos: Positional[tuple[Path, ...]] = ()
    """Photos to vary; without one, a sample exemplar that comes with the package."""
    prompt: UseAppendAction[tuple[str, ...]] = ()
    """What the variations show; once for all photos, or repeated, once a photo. A sample has its own caption."""
    num_variations: Annotated[int, arg(aliases=["-n"])] = 4
    """Variations of each photo."""
    out: Path = Path("out")
    """Folder for the pictures, the contact sheet and run.json. Nothing in it is overwritten."""
    model: ModelName = "tiny"
    """The embedded model, a Stable Diffusion 1.x/2.x checkpoint in the diffusers layout, or a hub id."""
    dtype: DType | None = None
    """Of weights and arithmetic; by default what suits the device."""
    config: Path | None = None
    """A preset (TOML) or the run.json of an earlier run; flags win over it."""
    source_prompt: UseAppendAction[tuple[str, ...]] = ()
    """What the photos show, where that is not the prompt; once, or once a photo."""
    negative_prompt: UseAppendAction[tuple[str, ...]] = ()
    """What the variations must not show; once, or once a photo. By default empty."""
    num_inference_steps: int = 50
    """Steps of inversion and of generation."""
    guidance_scale: float = 7.0
    """Weight of the prompt; smaller values stay closer to the photo's own look."""
    t_align: float = 600
    """0 to 1000; above this timestep attention reads the photo alone. Smaller keeps more of the photo."""
    t_early: float = 600
    """0 to 1000; above this timestep colours and contrast are held to the photo's."""
    attention_start: float = 1000
    """0 to 1000; above this timestep attention is ordinary. Smaller frees the picture from the photo."""
    initial: Initial = "shuffle"
    """What generation starts from: the photo's noise shuffled, a Gaussian fitted to it, itself, or plain noise."""
    reference: Reference = "shared"
    """Whether the negative prompt's half reads the same reference or one of the empty prompt."""
    align: Align = "noise"
    """What is held to the photo's statistics: the predicted noise (the paper), the latents, or nothing."""
    seed: UseAppendAction[tuple[int, ...]] = ()
    """0 to 4294967295; once for all photos, or once a photo. By default 0."""
    timestep_convention: TimestepConvention = "target"
    """Which timestep the model is told while the photo is inverted."""
    height: int | None = None
    """Of the pictures, in pixels; by default the model's own size."""
    width: int | None = None
    """Of the pictures, in pixels; by default the model's own size."""


@dataclass(frozen=True)
class Info:
    """Say what a model is, how big its parts are and what memory it needs; loads no weights."""

    model: Positional[ModelName] = "tiny"
    """The embedded model, a checkpoint in the diffusers layout, or a hub id."""
    dtype: DType | None = None
    """Of weights and arithmetic; by default what suits the device."""


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Bad input is one sentence on stderr and exit code 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    console = Console(stderr=True)
    warnings.showwarning = lambda message, *_: console.print(f"warning: {message}", style="yellow", markup=False)
    try:
        command = _parse(arguments)
        if isinstance(command, Vary):
            _vary(command, console)
        else:
            from rival_jax.info import describe

            print(describe(command.model, command.dtype))
    except InputError as error:
        sys.exit(_fail(console, str(error), 2))
    except OSError as error:
        sys.exit(_fail(console, f"{error.filename or 'The disk'} cannot be written or read: {error.strerror}.", 2))
    except KeyboardInterrupt:
        sys.exit(_fail(console, "Interrupted; files already written are whole.", 130))


def _fail(console: Console, sentence: str, code: int) -> int:
    console.print(f"error: {sentence}", style="red", markup=False, highlight=False, soft_wrap=True)
    return code


def _parse(arguments: list[str]) -> Vary | Info:
    """The command with its arguments: defaults, then the config file, then flags."""
    description = "Training-free variation of real photos with Stable Diffusion (RIVAL), in JAX."
    commands = {"vary": Vary, "info": Info}
    command = tyro.extras.subcommand_cli_from_dict(commands, args=arguments, prog="rival", description=description)
    if not isinstance(command, Vary) or not (config := command.config):
        return command
    from rival_jax.record import check_unchanged, read_settings

    defaults = Vary(**read_settings(config, Vary))
    rest = arguments[arguments.index("vary") + 1 :]
    emptied = replace(defaults, **dict.fromkeys(REPEATED, ()))
    command = tyro.cli(Vary, args=rest, default=emptied, prog="rival vary")
    command = replace(command, **{name: getattr(command, name) or getattr(defaults, name) for name in REPEATED})
    if command.photos == defaults.photos:
        check_unchanged(config)
    return command


def _vary(args: Vary, console: Console) -> None:
    """Runs `rival vary` and says where its files are."""
    if not args.photos:
        sample, caption = samples.default()
        console.print(f"No photo was given: the sample {sample.name} is varied.", highlight=False)
        args = replace(args, photos=(sample,), prompt=args.prompt or (caption,))
    if not args.prompt:
        raise InputError('prompt is missing: say what the photo shows, as in --prompt "a red house on green grass".')
    from rival_jax.progress import shown_on
    from rival_jax.run import run

    with shown_on(console) as progress:
        record = run(args, progress)
    console.print(f"{len(record['files']['variations'])} variations, {record['files']['sheet']} and", highlight=False)
    console.print(f"{record['files']['record']} are in {args.out}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()

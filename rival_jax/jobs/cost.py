"""What a job will take, before anything is run: pictures, bytes, memory and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import jax

from rival_jax import wording
from rival_jax.bench import flops
from rival_jax.bench.stages import peak
from rival_jax.checkpoint import StableDiffusion
from rival_jax.errors import InputError
from rival_jax.jobs.inputs.buckets import bucket
from rival_jax.jobs.inputs.loading import load
from rival_jax.jobs.job import Setting
from rival_jax.jobs.plan import Plan
from rival_jax.memory import temporary_bytes
from rival_jax.sampling import one_step
from rival_jax.stages import Stage, stages

_LOOKED_AT = 32
_SHARE_OF_PEAK = 0.4
"""Of the speed of matrix products that a run reaches, as `rival bench` has it; what time is estimated with."""
_BYTES_PER_PIXEL = {"png": 1.8, "jpeg": 0.5, "webp": 0.4}
"""Of photographs, at the qualities that are written."""


@dataclass(frozen=True)
class Estimate:
    """What a job will take.

    samples, pictures: how many the dataset has, and how many the output will have.
    shards, shards_done: how many there are, and how many of them are done.
    sizes: how many of the samples looked at are drawn at which (height, width).
    looked_at, unreadable: how many samples were opened, at most 32, and how many of these cannot be read.
    nbytes: bytes of all files.
    memory: bytes on a device at the worst moment.
    operations: number of floating-point operations, of what is not done yet.
    seconds: on the devices of this machine, for what is not done yet.
    devices: how many there are, their kind, and the dtype.
    """

    samples: int
    pictures: int
    shards: int
    shards_done: int
    sizes: dict[tuple[int, int], int]
    looked_at: int
    unreadable: int
    nbytes: int
    memory: int
    operations: float
    seconds: float
    devices: str


def estimate(plan: Plan) -> Estimate:
    """What is left of `plan` will take, by a few samples' pictures and the model's configs.

    No weights are read and nothing is drawn.

    Time is what the counted operations take at two fifths of the speed that matrix products reach here. Raises
    InputError for a model that cannot be found or read.
    """
    job = plan.job
    model = StableDiffusion.structure(job.model.name, job.model.dtype, job.model.config)
    sizes, unreadable = _sizes(plan, job.model.size or model.size, model.factor)
    chosen = sizes or {(model.size, model.size): 1}
    looked_at = sum(chosen.values())

    def mean(of_size: Callable[[int, int], float]) -> float:
        return sum(of_size(*side) * count for side, count in chosen.items()) / looked_at

    readable = plan.num_samples * (1 - unreadable / max(looked_at + unreadable, 1))
    pictures = plan.num_samples * (job.num_variations + job.output.originals)
    operations = readable * mean(lambda height, width: _operations(plan, model, height, width))
    pixels = readable * (job.num_variations + job.output.originals) * mean(lambda height, width: height * width)
    left = 1 - len(plan.done()) / max(plan.num_shards, 1)
    speed = peak(model.dtype, 1) * _SHARE_OF_PEAK
    device = jax.devices()[0]
    return Estimate(
        plan.num_samples,
        pictures,
        plan.num_shards,
        len(plan.done()),
        sizes,
        looked_at + unreadable if sizes or unreadable else 0,
        unreadable,
        int(pixels * _BYTES_PER_PIXEL[job.output.image_format]),
        max(_memory(plan, model, *side) for side in chosen),
        operations * left,
        operations * left / speed,
        f"{jax.local_device_count()} x {device.device_kind} ({device.platform}), {model.dtype}",
    )


def describe(estimate: Estimate) -> str:
    """A few lines for people."""
    sizes = ", ".join(f"{w} x {h} ({count})" for (h, w), count in estimate.sizes.items())
    lines = [
        ("samples", f"{estimate.samples:,}, of which {estimate.looked_at} were looked at"),
        ("", f"{estimate.unreadable} of those cannot be read" if estimate.unreadable else ""),
        ("sizes", sizes),
        ("pictures", f"{estimate.pictures:,} in {estimate.shards:,} shards, {estimate.shards_done:,} of them done"),
        ("files", f"about {wording.size(estimate.nbytes)}"),
        ("memory", f"about {wording.size(estimate.memory)} on a device (an estimate)"),
        ("work", f"{estimate.operations:.2e} floating-point operations are left"),
        ("time", f"about {wording.duration(estimate.seconds)} on {estimate.devices} (an estimate, without compiling)"),
    ]
    return "\n".join(f"{name:<9} {value}".rstrip() for name, value in lines if value)


def _sizes(plan: Plan, size: int, factor: int) -> tuple[dict[tuple[int, int], int], int]:
    """The sizes at which some evenly chosen samples are drawn, most frequent first, and how many cannot be read."""
    found: Counter[tuple[int, int]] = Counter()
    unreadable = 0
    for sample in plan.spread(_LOOKED_AT):
        try:
            image = load(sample).image
            found[bucket(*image.size, size, factor)] += 1
        except (InputError, OSError):
            unreadable += 1
    return dict(found.most_common()), unreadable


def _operations(plan: Plan, model: StableDiffusion, height: int, width: int) -> float:
    """Of one exemplar of this size with all its variations."""
    total = 0.0
    for number, setting in enumerate(plan.job.recipe):
        count = len(range(number, plan.job.num_variations, len(plan.job.recipe)))
        by_kind = Counter[str]()
        for stage, steps in _stages(model, setting):
            by_kind["concat" if stage.attention == "concat" else "replace"] += steps
        work = flops.of_ours(model, count, height, width)
        total += work.run(by_kind["replace"], by_kind["concat"], count)
    return total


def _memory(plan: Plan, model: StableDiffusion, height: int, width: int) -> int:
    """Bytes on one device: the weights, and what a batch holds meanwhile."""
    shape = model.latent_shape(height, width)
    many = -(-plan.job.num_variations // len(plan.job.recipe))
    held = temporary_bytes(*one_step(model.unet, shape, model.text_shape, Stage("concat", "none", 1), many))
    exemplars = -(-plan.job.batch_size // jax.local_device_count())
    return sum(network.nbytes for network in model.plans.values()) + held * exemplars


def _stages(model: StableDiffusion, setting: Setting) -> list[tuple[Stage, int]]:
    return stages(
        model.schedule.timesteps(setting.num_inference_steps),
        t_align=setting.t_align,
        t_early=setting.t_early,
        attention_start=setting.attention_start,
        align=setting.align,
        reference=setting.reference,
    )

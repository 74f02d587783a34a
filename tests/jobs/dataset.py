"""A small dataset of class folders, and jobs on it."""

from pathlib import Path

from command import save_photo

from rival_jax.jobs import Plan, make_plan
from rival_jax.jobs.job import Job, make_job


def write_dataset(folder: Path, count: int = 5, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    """`count` pictures of noise, by turns in the folders of classes."""
    for number in range(count):
        place = folder / classes[number % len(classes)]
        place.mkdir(parents=True, exist_ok=True)
        save_photo(place / f"{number:04d}.png", seed=number, size=(20, 20))
    return folder


def job_of(folder: Path, out: Path, **keys) -> Job:
    """A job of two settings of one step, one with a range of guidance; keys are the job file's."""
    recipe = [{"num_inference_steps": 1, "guidance_scale": [3, 6]}, {"num_inference_steps": 1, "initial": "gaussian"}]
    content = {"input": {"path": str(folder)}, "output": {"path": str(out)}, "recipe": recipe}
    content |= {"caption": {"template": "a {label}"}}
    return make_job(content | {"num_variations": 3, "shard_size": 2, "batch_size": 2} | keys)


def planned(folder: Path, out: Path, count: int = 5, **keys) -> Plan:
    """The plan of a job on `count` pictures."""
    return make_plan(job_of(write_dataset(folder, count), out, **keys))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a job but those that say how long something took."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    timed = ("_stats.json", "statistics.json")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if not path.name.endswith(timed)}

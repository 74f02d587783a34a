"""Builds what is released and checks it as users get it: on every Python, with the oldest and the newest dependencies.

    python scripts/check_package.py [--pythons 3.11 3.12 3.13] [--dependencies oldest newest]

Wheel and sdist are built from the checkout, into `dist/`. Each environment is a fresh one outside the checkout,
and sees the wheel alone: the commands, the Python API, types by a user's pyright, tests from the sdist. "Oldest"
are the lower bounds of pyproject.toml, each of which must be reached; on Python 3.13 these are Colab's. Last comes
a newcomer's path, from a fresh clone. Prints a table. Needs uv (`pip install uv`), those Pythons and half an hour.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

import tyro
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
RESOLUTION = {"oldest": "lowest-direct", "newest": "highest"}
TESTS = (
    *("test_goldens.py", "test_record.py", "test_text.py", "test_info.py", "models/test_config.py"),
    *("weights/test_files.py", "weights/test_pickles.py", "training/test_loop.py"),
    *("jobs/test_job.py", "jobs/test_inputs.py", "jobs/test_loaders.py"),
)
"""Together they reach every dependency: networks against torch's numbers, the command, files, jobs, training."""
API = """
import rival_jax
from rival_jax import RivalPipeline, samples

assert "site-packages" in rival_jax.__file__, rival_jax.__file__
pipe = RivalPipeline.from_pretrained("tiny")
photo, caption = samples.default()
chain = pipe.invert([photo], [caption], num_inference_steps=4)
out = pipe.vary(chain, [caption], seed=[1])
assert out.images.shape == (1, 1, 48, 48, 3) and out.images.std() > 20
assert (out.images == pipe.vary(chain, [caption], seed=[1]).images).all()
"""
WRONG = """
from rival_jax import RivalPipeline

RivalPipeline.from_pretrained("tiny").invert(["a.png"], num_inference_steps="ten")
"""


class Failed(Exception):
    """A step of a check; the message has what it printed last."""


@dataclass(frozen=True)
class Options:
    """What is checked."""

    pythons: tuple[str, ...] = ("3.11", "3.12", "3.13")
    """Versions that uv finds, or paths."""
    dependencies: tuple[str, ...] = ("oldest", "newest")
    """Which ones."""


def main(options: Options) -> None:
    """Builds, checks, prints the table."""
    _run("rm", "-rf", "dist", cwd=ROOT)
    _run("uv", "build", "-q", cwd=ROOT)
    [wheel], [sdist] = (ROOT / "dist").glob("*.whl"), (ROOT / "dist").glob("*.tar.gz")
    _run("uv", "tool", "run", "twine", "check", "--strict", wheel, sdist)
    _run("uv", "tool", "run", "cffconvert", "--validate", "-i", ROOT / "CITATION.cff")
    rows, failed = [["Python", "dependencies", "jax", "flax", "numpy", "result", "seconds"]], False
    for python in options.pythons:
        for which in options.dependencies:
            start, pins = time.monotonic(), {}
            try:
                pins = _resolve(python, which)
                with tempfile.TemporaryDirectory() as folder:
                    result = _check(Path(folder), python, pins, wheel, sdist)
            except Failed as failure:
                result, failed = "FAILED", True
                print(failure, flush=True)
            named = "oldest (Colab's)" if (python, which) == ("3.13", "oldest") else which
            versions = [pins.get(name, "-") for name in ("jax", "flax", "numpy")]
            rows.append([python, named, *versions, result, f"{time.monotonic() - start:.0f}"])
            print("  ".join(rows[-1]), flush=True)
    print()
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(f"\nclone, `pip install . && rival vary`: {_newcomer():.0f} s (at most 180, with pip's cache)")
    sys.exit(failed)


def _resolve(python: str, which: str) -> dict[str, str]:
    """The versions that are installed; all extras resolve too, and the oldest are the bounds themselves."""
    command = ["uv", "pip", "compile", "-q", "--no-header", "--no-annotate", "--python", python]
    command += ["--resolution", RESOLUTION[which], "pyproject.toml"]
    _run(*command, "--all-extras", cwd=ROOT)
    pins = dict(re.findall(r"^(\S+)==(\S+)", _run(*command, "--extra", "test", cwd=ROOT), re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = {}
    for text in project["dependencies"]:  # the last one that holds is the tightest
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"python_version": _version(python)}):
            bounds[requirement.name] = requirement
    for name, requirement in bounds.items() if which == "oldest" else ():
        bound = str(requirement.specifier).removeprefix(">=")
        if not re.fullmatch(rf"{re.escape(bound)}(\.0)*", pins[name]):
            raise Failed(f"{name}>={bound} is never reached: the oldest that resolves is {pins[name]}")
    return pins


def _check(folder: Path, python: str, pins: dict[str, str], wheel: Path, sdist: Path) -> str:
    """Everything in one environment; what the tests said."""
    constraints, venv, tests = folder / "constraints.txt", folder / "venv", folder / "tests"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
    _run("uv", "venv", "-q", "--python", python, venv)
    _run("uv", "pip", "install", "-q", "--python", venv, "-c", constraints, f"rival-jax[test] @ {wheel.as_uri()}")
    with tarfile.open(sdist) as archive:
        inside = [member for member in archive.getmembers() if "/rival_jax/" not in member.name]
        archive.extractall(tests, inside, filter="data")
    [unpacked] = tests.iterdir()
    (folder / "api.py").write_text(API)
    (folder / "wrong.py").write_text(WRONG)
    kept = {"JAX_COMPILATION_CACHE_DIR": str(folder / "programs"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
    environment = {"RIVAL_CACHE": "off", "PATH": f"{venv}/bin:{os.environ['PATH']}"} | kept
    run = {"cwd": folder, "environment": environment}
    _run("rival", "--version", **run)
    _run("rival", "info", **run)
    _run("rival", "vary", "--num-inference-steps", "4", "-n", "1", **run)
    _run("test", "-s", "out/variation-0001.png", **run)
    _run("python", "api.py", **run)
    types = ["uv", "tool", "run", "-q", "pyright", "--pythonpath", venv / "bin/python", "wrong.py"]
    if (said := _run(*types, fails=True, **run)).count("error:") != 1 or "reportArgumentType" not in said:
        raise Failed(f"pyright does not see the package's types:\n{said}")
    wanted = ["-q", "-n", "0", "-o", "addopts=", "-m", "not slow and not parity and not training and not browser"]
    files = [f"tests/{name}" for name in TESTS]
    said = _run("pytest", *wanted, *files, cwd=unpacked, environment=environment)
    return said.splitlines()[-1].split(" in ")[0].strip("= ")


def _newcomer() -> float:
    """Seconds from a fresh clone to four variations: no cache but pip's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _run("git", "clone", "-q", ROOT, folder / "clone")
        _run(sys.executable, "-m", "venv", folder / "venv")
        environment = {"RIVAL_CACHE": str(folder / "cache"), "PATH": f"{folder}/venv/bin:{os.environ['PATH']}"}
        start = time.monotonic()
        _run("pip", "install", "-q", ".", cwd=folder / "clone", environment=environment)
        _run("rival", "vary", cwd=folder / "clone", environment=environment)
        return time.monotonic() - start


def _version(python: str) -> str:
    """Its version, as markers say it."""
    found = _run("uv", "python", "find", python).splitlines()[-1]
    return _run(found, "-c", "import sys; print('{}.{}'.format(*sys.version_info))").strip()


def _run(*command: str | Path, cwd: Path | None = None, environment: dict[str, str] | None = None, fails=False) -> str:
    """What a command printed; unless it `fails`, as expected, Failed otherwise. No checkout is on its path."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    said = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=inherited | (environment or {}),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if bool(said.returncode) != fails:
        raise Failed(f"{' '.join(map(str, command[:6]))} ended with {said.returncode}:\n{said.stdout[-3000:]}")
    return said.stdout


if __name__ == "__main__":
    main(tyro.cli(Options))

"""Time and memory of planning a manifest of many rows, and of going on with that job.

    python scripts/plan_a_million.py [ROWS]

Prints a table: seconds and peak memory of a process that plans, and of one that finds what is left of a job of which
all shards but ten are done; beside the same for a thousandth of the rows, which says how memory grows.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ENDS = """
[input]
path = "{folder}/manifest.csv"
[output]
path = "{folder}/out"
"""


def main(rows: int) -> None:
    """The table."""
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    print(f"{'rows':>9}  {'what':<6}  {'seconds':>7}  {'peak memory':>11}")
    for count in (rows // 1000, rows):
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), count)
            for what in ("plan", "resume"):
                if what == "resume":
                    _mark(Path(folder) / "out")
                said = subprocess.run(
                    [sys.executable, __file__, what, folder], check=True, capture_output=True, text=True
                )
                seconds, memory, shards = said.stdout.split()
                print(f"{count:>9,}  {what:<6}  {float(seconds):>7.1f}  {int(memory) / 2**20:>7.0f} MiB  {shards} left")


def _write(folder: Path, count: int) -> None:
    """A manifest of pictures that need not exist to be planned, and its job."""
    with (folder / "manifest.csv").open("w") as file:
        file.write("file_name,label\n")
        file.writelines(
            f"pictures/{number % 1000:03d}/{number:08d}.jpg,class {number % 100}\n" for number in range(count)
        )
    (folder / "job.toml").write_text(ENDS.format(folder=folder))


def _mark(out: Path) -> None:
    """All shards but ten as done."""
    from rival_jax.jobs import read_plan

    plan = read_plan(out)
    for shard in range(plan.num_shards - 10):
        plan.stats_file(shard).write_text("{}")


def _measure(folder: Path) -> None:
    """Plans, or goes on, in this process."""
    from rival_jax.jobs import make_plan, read_job

    start = time.perf_counter()
    left = len(make_plan(read_job(folder / "job.toml")).pending())
    seconds = time.perf_counter() - start
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, left)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        _measure(Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) == 2 else 1_000_000)

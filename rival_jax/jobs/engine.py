"""A shard from start to end, and many of them with reading, drawing and writing at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from fsspec.core import url_to_fs

from rival_jax.errors import InputError, JobError
from rival_jax.jobs.inputs.buckets import bucket, fit
from rival_jax.jobs.inputs.loading import load
from rival_jax.jobs.plan import Plan
from rival_jax.jobs.results import Encoded, judged, unread
from rival_jax.jobs.sample import Sample
from rival_jax.jobs.shards import publishing
from rival_jax.jobs.shards.publishing import Shard
from rival_jax.jobs.worker import Exemplar, Worker
from rival_jax.steps import Progress, silent

_READERS = _WRITERS = 2
Read = list[tuple[Sample, "Exemplar | str"]]
"""Samples, each with its picture or with the sentence that says why it cannot be read."""


def run(plan: Plan, worker: Worker, *, index: int = 0, count: int = 1, progress: Progress = silent) -> int:
    """Runs what is left of a job; how many shards were run.

    While the device draws a shard, the next one's pictures are read and the last one's files are written. A shard of
    which nothing could be drawn is kept for as long as it may be the device's fault.

    Args:
        plan: the job's.
        worker: what draws, loaded from this plan.
        index, count: this is worker `index`, 0 ... count - 1, of `count`, 1 or more, and takes a shard in so many.
        progress: called with (stage, pictures done, pictures in all).

    Raises OSError where nothing can be written, and JobError where nothing can be read or generated any more; finished
    shards stay, and another call goes on.
    """
    pending = plan.pending(index, count)
    many = plan.job.num_variations
    total = plan.samples_in(*pending) * many
    done = 0

    def show(exemplars: int) -> None:
        nonlocal done
        done += exemplars * many
        progress("pictures", done, total)

    with _threads(_READERS) as readers, _threads(_WRITERS) as encoders, _threads(1) as writer:
        reading = _reading(plan, worker, pending[:1], readers)
        written: Future | None = None
        failure, suspect = "", None  # a shard of which nothing could be drawn: the pictures' fault, or the device's?
        for place, shard in enumerate(pending):
            read = [(sample, future.result()) for sample, future in reading]
            _check_readable(plan, read)
            reading = _reading(plan, worker, pending[place + 1 : place + 2], readers)
            start = time.monotonic()
            encoded, failure = _drawn(plan, worker, shard, read, encoders, show)
            if failure and suspect:
                raise JobError(failure)
            if failure:
                suspect = plan, shard, encoded, start
                continue
            if written:
                written.result()
            if suspect:
                _publish(*suspect)
                suspect = None
            written = writer.submit(_publish, plan, shard, encoded, start)
        if written:
            written.result()
        if suspect and not plan.done():
            raise JobError(failure)
        if suspect:
            _publish(*suspect)
    return len(pending)


def run_shard(worker: Worker, shard: int) -> None:
    """Reads, draws and writes one shard of the worker's plan. Raises as `run` does."""
    plan = worker.plan
    with _threads(_READERS) as readers, _threads(_WRITERS) as encoders:
        start = time.monotonic()
        read = [(sample, future.result()) for sample, future in _reading(plan, worker, [shard], readers)]
        _check_readable(plan, read)
        encoded, failure = _drawn(plan, worker, shard, read, encoders, _nobody)
        if failure and not plan.done():
            raise JobError(failure)
        _publish(plan, shard, encoded, start)


def made_again(worker: Worker, shard: int, lost: set[str]) -> Shard:
    """The rows and files of those samples of a shard whose keys are `lost`."""
    plan = worker.plan
    with _threads(_READERS) as readers, _threads(_WRITERS) as encoders:
        chosen = [sample for sample in plan.samples(shard) if sample.key in lost]
        read = [(sample, readers.submit(_read, sample, worker)) for sample in chosen]
        known = [(sample, future.result()) for sample, future in read]
        return _gathered(_drawn(plan, worker, shard, known, encoders, _nobody)[0])


def _nobody(_: int) -> None:
    """Shows nothing."""


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that, after an error, leaves undone what it has not begun."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _reading(plan: Plan, worker: Worker, chosen: Sequence[int], pool: ThreadPoolExecutor) -> list:
    return [(sample, pool.submit(_read, sample, worker)) for shard in chosen for sample in plan.samples(shard)]


def _read(sample: Sample, worker: Worker) -> Exemplar | str:
    """A sample's picture, or why there is none."""
    try:
        loaded = load(sample)
    except (InputError, OSError) as error:
        return str(error)
    image, output = loaded.image, worker.plan.job.output
    pixels = fit(image, *bucket(*image.size, worker.size, worker.pipe.factor), squeeze=output.restore_size)
    whole = image if output.originals and output.restore_size else None
    return Exemplar(sample, loaded.sha256, image.size, pixels, whole)


def _check_readable(plan: Plan, read: Read) -> None:
    """Raises JobError where nothing of a shard can be read because the whole input has gone."""
    if any(not isinstance(exemplar, str) for _, exemplar in read):
        return
    path = plan.job.input.path
    system, inside = url_to_fs(path)
    if not (system.glob(inside) if "*" in path else system.exists(inside)):
        raise JobError(f"The input {path} is no longer there; bring it back and run the job again to go on.")


def _drawn(
    plan: Plan, worker: Worker, shard: int, read: Read, encoders: ThreadPoolExecutor, show: Callable[[int], None]
) -> tuple[Encoded, str]:
    """A shard's rows in the order of its samples, each with its file in the making; and why nothing could be drawn,
    where several exemplars failed alike and none did not."""
    rows: dict[str, Encoded] = {}
    for sample, exemplar in read:
        if isinstance(exemplar, str):
            rows[sample.id] = unread(worker, sample, exemplar)
            show(1)
    failures: list[set[str]] = []
    for batch in _batches([e for _, e in read if not isinstance(e, str)], plan.job.batch_size):
        made = worker.vary(batch)
        failures += [{each.message for each in varied.variations} for varied in made]
        for exemplar, each in zip(batch, made, strict=True):
            rows[exemplar.sample.id] = judged(worker, shard, exemplar, each, encoders)
        show(len(batch))
    whole = set().union(*failures)
    failure = f"No picture of a whole shard could be generated: {''.join(whole)}" if len(failures) > 1 else ""
    return [row for sample, _ in read for row in rows[sample.id]], failure if len(whole) == 1 and all(whole) else ""


def _batches(exemplars: Sequence[Exemplar], size: int) -> Iterator[list[Exemplar]]:
    """Exemplars of one bucket together, at most `size` at once."""
    buckets: dict[tuple[int, int], list[Exemplar]] = {}
    for exemplar in exemplars:
        buckets.setdefault(exemplar.side, []).append(exemplar)
    for alike in buckets.values():
        for start in range(0, len(alike), size):
            yield alike[start : start + size]


def _gathered(encoded: Encoded) -> Shard:
    """A shard whose files are made."""
    files = {row.file_name: future.result() for row, future in encoded if row.file_name and future}
    return Shard([row for row, _ in encoded], files)


def _publish(plan: Plan, shard: int, encoded: Encoded, start: float) -> None:
    content = _gathered(encoded)
    publishing.publish(plan, shard, content, time.monotonic() - start)

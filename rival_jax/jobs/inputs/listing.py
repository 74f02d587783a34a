"""A dataset of any kind, as a stream of samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rival_jax.errors import InputError
from rival_jax.jobs.inputs import files, tables, tars
from rival_jax.jobs.inputs.described import labelled
from rival_jax.jobs.inputs.files import clear_errors, join
from rival_jax.jobs.inputs.parquet import columns_of, picture_bytes, pictures_of_parquet
from rival_jax.jobs.inputs.tables import NAME, Found, pictures_of_table
from rival_jax.jobs.job import Job
from rival_jax.jobs.rows import readable
from rival_jax.jobs.sample import Sample

PICTURES = frozenset(
    [
        ".avif",
        ".bmp",
        ".gif",
        ".heic",
        ".heif",
        ".jfif",
        ".jp2",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".pbm",
        ".pgm",
        ".png",
        ".ppm",
        ".tga",
        ".tif",
        ".tiff",
        ".webp",
    ]
)
"""Files with these suffixes, in any case, are samples; one that Pillow cannot read is reported when it is read."""
_TABLES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_ACCEPTED = (
    "accepted are a folder of class folders, a folder with metadata.jsonl, .csv or .parquet, WebDataset .tar files, "
    ".parquet files with image bytes, and .txt, .csv, .jsonl or .parquet manifests"
)


def samples(job: Job) -> Iterator[Sample]:
    """The samples of `job.input`, in an order that follows from the names alone; pictures are not opened.

    ids are what a manifest or metadata says, else paths relative to the input; of tars "<tar>/<key>", of parquet files
    with image bytes "<file>#<row>". A folder's pictures have its name as label, those beside all folders have none.

    Raises InputError, in one sentence, for whatever is missing, malformed or of no known kind.
    """
    describe = labelled(job)
    for name, where, columns in _found(job):
        try:
            name.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise InputError(f"The input {job.input.path} has the name {name!r}, which no file can have.") from error
        label, caption = describe(name, columns)
        yield Sample(name, where, label, caption)


def read_bytes(where: dict[str, Any]) -> bytes:
    """The bytes of a sample's picture. Raises InputError where they are no longer there or cannot be read."""
    with clear_errors(where["path"]):
        if "column" in where:
            return picture_bytes(**where)
        data = files.read(**where)
        if len(data) != where.get("size", len(data)):
            raise InputError(f"{readable(where['path'])} is shorter than when the job was planned.")
        return data


def _found(job: Job) -> Iterator[Found]:
    with clear_errors(job.input.path):
        path = files.absolute(job.input.path)
        if "*" in path:
            root, paths = path.split("*")[0].rpartition("/")[0], files.match(path)
            if not paths:
                raise InputError(f"Nothing matches the input {job.input.path}; give wildcards that match files.")
        elif _is_folder(path):
            yield from _in_folder(path, job)
            return
        else:
            root, paths = path.rpartition("/")[0], [path]
    for path in paths:
        yield from _in_file(path, root, job)


def _is_folder(path: str) -> bool:
    try:
        return files.is_folder(path)
    except FileNotFoundError as error:
        raise InputError(f"The input {path} does not exist; {_ACCEPTED}.") from error


def _in_folder(folder: str, job: Job) -> Iterator[Found]:
    """Whatever kind of dataset the folder is."""
    with clear_errors(folder):
        entries = files.list_folder(folder)
    here = [name for name, is_dir in entries if not is_dir]
    for name in _TABLES:
        if name in here:
            yield from pictures_of_table(join(folder, name), _columns(job))
            return
    packed = [name for name in here if name.endswith((*tars.SUFFIXES, ".parquet"))]
    if packed and (len(here) < len(entries) or any(_is_picture(name) for name in here)):
        raise InputError(
            f"The input {job.input.path} has {readable(packed[0])} beside pictures or folders; "
            f"give {job.input.path.rstrip('/')}/*.{packed[0].rpartition('.')[2]}, or a folder with one kind."
        )
    for name in packed:
        yield from _in_file(join(folder, name), folder, job)
    if not packed:
        yield from _in_class_folders(folder, "", entries, job.input.label)


def _in_class_folders(root: str, inside: str, entries: list[tuple[str, bool]], label: str) -> Iterator[Found]:
    """The pictures of these entries of a folder, which itself is `inside` the root ("" or with a slash at its end)."""
    for name, is_dir in entries:
        if is_dir:
            folder = join(root, inside + name)
            with clear_errors(folder):
                below = files.list_folder(folder)
            yield from _in_class_folders(root, f"{inside}{name}/", below, label)
        elif _is_picture(name):
            yield _picture(root, inside + name, label)


def _in_file(path: str, root: str, job: Job) -> Iterator[Found]:
    """What one file holds; ids of what has no name of its own begin with its path from the root."""
    own = path.removeprefix(root).lstrip("/")
    if path.endswith(tars.SUFFIXES):
        for key, where, said in tars.pictures_of_tar(path, job.input.label, PICTURES):
            yield f"{own}/{key}", where, said
    elif path.endswith(".parquet"):
        yield from _in_parquet(path, own, job)
    elif path.endswith(tables.SUFFIXES):
        yield from pictures_of_table(path, _columns(job))
    elif _is_picture(path):
        yield _picture(root, own, job.input.label)
    else:
        raise InputError(f"The input {readable(path)} is of no known kind; {_ACCEPTED}.")


def _in_parquet(path: str, own: str, job: Job) -> Iterator[Found]:
    image, there = job.input.image, columns_of(path)
    if image in there:
        for number, where, said in pictures_of_parquet(path, image, _columns(job)):
            yield f"{own}#{number}", where, said
    elif NAME in there:
        yield from pictures_of_table(path, _columns(job))
    else:
        raise InputError(
            f"{readable(path)} has neither a column {image!r} (input.image) nor {NAME}; "
            f"it has {', '.join(there) or 'none'}."
        )


def _picture(root: str, own: str, label: str) -> Found:
    """A picture file, labelled with the first folder of its path from the root."""
    return own, {"path": join(root, own)}, {label: own.split("/")[0]} if "/" in own else {}


def _columns(job: Job) -> set[str]:
    """The columns that say something a job uses."""
    return {job.input.label, job.caption.column or job.input.label}


def _is_picture(name: str) -> bool:
    return "." + name.rpartition(".")[2].lower() in PICTURES

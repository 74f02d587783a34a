"""Others' readers find exactly the pictures that were made, with their labels."""

import os
from pathlib import Path

import numpy as np
import pytest
import webdataset
from made import FORMATS, LABELS, colour_of, plan_of, publish_all
from PIL import Image

from rival_jax.jobs.plan import Plan
from rival_jax.jobs.rows import Row
from rival_jax.jobs.summary.finalize import finalize

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
datasets = pytest.importorskip("datasets")
ODD = ("test", "train", "__a/b", "Ünïcode [x] *", "猫" * 90)
"""Labels that readers may take for a split, for something hidden or for a pattern."""


@pytest.fixture(params=FORMATS)
def form(request):
    return request.param


@pytest.fixture
def load(tmp_path):
    """`datasets.load_dataset` of one split, with a cache of its own."""

    def load(*arguments, **keywords):
        return datasets.load_dataset(*arguments, split="train", cache_dir=str(tmp_path / "cache"), **keywords)

    return load


def finished(folder: Path, form: str, labels=LABELS, **output) -> tuple[Plan, dict[str, Row]]:
    """A finished job, and its pictures by key and variation."""
    plan = plan_of(folder, form, labels=labels, **output)
    made = publish_all(plan, labels)
    finalize(plan)
    return plan, {_name(row.key, row.variation): row for row in made}


def _name(key: str, variation: int | None) -> str:
    return f"{key}_original" if variation is None else f"{key}_v{variation}"


def check(found: dict[str, tuple[Image.Image, str | None]], made: dict[str, Row]) -> None:
    """Exactly these pictures, each with its pixels and label."""
    assert found.keys() == made.keys()
    for name, (image, label) in found.items():
        assert label == made[name].label and image.size == (8, 6)
        np.testing.assert_allclose(
            np.asarray(image.convert("RGB")), np.broadcast_to(colour_of(made[name]), (6, 8, 3)), atol=3
        )


@pytest.mark.parametrize(
    "image_format, labels",
    [("png", LABELS), ("jpeg", LABELS), ("webp", LABELS), ("png", ("cat", "dog")), ("png", (None,)), ("png", ODD)],
)
def test_datasets_reads_the_whole_folder(form, image_format, labels, load, tmp_path):
    """Its card tells the types of columns that are null in the first rows, as all are that unlabelled pictures lack."""
    _, made = finished(tmp_path / "out", form, labels, image_format=image_format, originals=True)
    data = load(str(tmp_path / "out"))
    if form == "webdataset":
        picture = "jpg" if image_format == "jpeg" else image_format
        found = {row["__key__"]: (row[picture], row["json"]["label"]) for row in data}
        numbers = {row["__key__"]: row["cls"] for row in data}
        known = sorted(filter(None, labels))
        assert numbers == {name: None if row.label is None else known.index(row.label) for name, row in made.items()}
    else:
        found = {_name(row["key"], row["variation"]): (row["image"], row["label"]) for row in data}
    check(found, made)


def test_datasets_reads_image_folders_without_the_card(load, tmp_path):
    plan, made = finished(tmp_path / "out", "folder")
    data = load("imagefolder", data_dir=str(plan.data))
    check({_name(row["key"], row["variation"]): (row["image"], row["label"]) for row in data}, made)
    assert set(data["caption"]) == {"a thing"} and set(data["seed"]) == {2**32 - 1}


def test_datasets_reads_tars_without_the_card(load, tmp_path):
    plan, made = finished(tmp_path / "out", "webdataset", ("cat", "dog"))
    data = load("webdataset", data_files=str(plan.data / "*.tar"))
    check({row["__key__"]: (row["png"], plan.labels[row["cls"]]) for row in data}, made)


def test_datasets_reads_tables_without_the_card(load, tmp_path):
    plan, made = finished(tmp_path / "out", "parquet")
    data = load("parquet", data_files=str(plan.data / "*.parquet"))
    assert data.features["image"] == datasets.Image() and data.features["nsfw"] == datasets.Value("bool")
    check({_name(row["key"], row["variation"]): (row["image"], row["label"]) for row in data}, made)


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_webdataset_reads_tars(image_format, tmp_path):
    plan, made = finished(tmp_path / "out", "webdataset", ("cat", "dog"), image_format=image_format, originals=True)
    tars = sorted(str(path) for path in plan.data.glob("*.tar"))
    picture = "jpg" if image_format == "jpeg" else image_format
    data = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    check({each["__key__"]: (each[picture], plan.labels[each["cls"]]) for each in data}, made)
    assert all(each["json"]["source_sha256"] == "5e" * 32 and each["txt"] for each in data)


@pytest.mark.parametrize("image_format", ["png", "jpeg", "webp"])
def test_torchvisions_layout(image_format, tmp_path):
    """What torchvision.datasets.ImageFolder does: class folders in order, and files below them by suffix."""
    labels = ("cat", "dog", "ice cream")
    plan, made = finished(tmp_path / "out", "folder", labels, image_format=image_format, originals=True)
    suffixes = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
    classes = sorted(entry.name for entry in os.scandir(plan.data) if entry.is_dir())
    assert classes == list(plan.labels)
    found = {}
    for number, name in enumerate(classes):
        for folder, _, names in sorted(os.walk(plan.data / name, followlinks=True)):
            for file in sorted(names):
                if file.lower().endswith(suffixes):
                    found[Path(file).stem] = (Image.open(Path(folder, file)), labels[number])
    check(found, made)

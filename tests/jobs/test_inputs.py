"""Every kind of dataset becomes the same stream of samples: ids, labels, captions and order."""

import io
import json
import os
import subprocess
import sys
import tarfile

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from command import save_photo

from rival_jax.jobs.inputs.listing import read_bytes, samples
from rival_jax.jobs.job import make_job


def listed(path, caption=None, **keys):
    """The samples of an input."""
    job = {"input": {"path": str(path), **keys}, "output": {"path": "out"}}
    return list(samples(make_job(job | ({"caption": caption} if caption else {}))))


def said(*arguments, **keys):
    """Ids, labels and captions."""
    return [(sample.id, sample.label, sample.caption) for sample in listed(*arguments, **keys)]


def save(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    return save_photo(path, seed)


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def classes(tmp_path):
    """Class folders, with what else lies in such folders."""
    root = tmp_path / "data"
    for seed, name in enumerate(("dog/b.JPG", "dog/deep/a.png", "cat/z.webp", "loose.png")):
        save(root / name, seed)
    for name in ("README.md", ".hidden.png", "dog/.DS_Store", "dog/notes.txt", ".git/x.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("no picture")
    (root / "cat" / "broken.png").write_text("a sample all the same")
    return root


CAPTIONLESS = {"captioner": "blip"}
CLASSES = [
    ("cat/broken.png", "cat", None),
    ("cat/z.webp", "cat", None),
    ("dog/b.JPG", "dog", None),
    ("dog/deep/a.png", "dog", None),
    ("loose.png", None, None),
]


def test_class_folders(classes):
    assert said(classes, CAPTIONLESS) == CLASSES
    found = {sample.id: read_bytes(sample.where) for sample in listed(f"{classes}/", CAPTIONLESS)}
    assert found == {name: (classes / name).read_bytes() for name, *_ in CLASSES}


def test_links_are_followed_but_not_in_circles(classes):
    (classes / "dog" / "around").symlink_to(classes)
    (classes / "wolf").symlink_to(classes / "dog")
    assert ("wolf/b.JPG", "wolf", None) in said(classes, CAPTIONLESS)
    assert len(said(classes, CAPTIONLESS)) == len(CLASSES) + 2


def test_relative_path_and_another_folder(classes, monkeypatch):
    """Ids do not depend on where the dataset is; places are absolute."""
    monkeypatch.chdir(classes.parent)
    here = listed("data", CAPTIONLESS)
    assert [sample.where["path"] for sample in here] == [str(classes / name) for name, *_ in CLASSES]
    classes.rename(classes.parent / "moved")
    assert [sample.id for sample in listed("moved", CAPTIONLESS)] == [sample.id for sample in here]


def test_name_that_is_not_unicode(tmp_path):
    folder = os.fsencode(tmp_path) + b"/d/caf\xe9"
    os.makedirs(folder)
    with open(folder + b"/\xff.png", "wb") as file:
        file.write(b"data")
    (sample,) = listed(tmp_path / "d")
    assert sample.id == "caf\udce9/\udcff.png" and read_bytes(sample.where) == b"data"
    assert (sample.label, sample.caption) == ("caf\\xe9", "a photo of a caf\\xe9")
    (tmp_path / "list.txt").write_bytes(b"d/caf\xe9/\xff.png\n")
    assert read_bytes(listed(tmp_path / "list.txt", CAPTIONLESS)[0].where) == b"data"


def test_wildcards_and_single_files(classes):
    assert said(classes / "*" / "*.png", CAPTIONLESS) == [("cat/broken.png", "cat", None)]
    assert said(classes / "loose.png", CAPTIONLESS) == [("loose.png", None, None)]


@pytest.mark.parametrize("keys, caption", [({}, "a photo of a dog"), ({"template": "{label}!"}, "dog!")])
def test_templates(tmp_path, keys, caption):
    save(tmp_path / "d" / "dog" / "a.png")
    assert said(tmp_path / "d", keys or None) == [("dog/a.png", "dog", caption)]
    save(tmp_path / "e" / "a.png")
    assert said(tmp_path / "e", {"template": "a photo"}) == [("a.png", None, "a photo")]


ROWS = [
    {"file_name": "b.png", "label": "dog", "text": 'a dog, "sitting"'},
    {"file_name": "sub/a.png", "label": "", "text": "una café"},
    {"file_name": "/far/c.png", "label": "7", "text": ""},
]


def write_table(path, rows=ROWS):
    if path.suffix == ".csv":
        quoted = ([str(cell).replace('"', '""') for cell in row.values()] for row in rows)
        lines = [",".join(rows[0]), *(",".join(f'"{cell}"' for cell in row) for row in quoted)]
        path.write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    elif path.suffix == ".jsonl":
        path.write_text("\n\n".join(json.dumps(row) for row in rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    return path


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("name", ["metadata", "list"])
def test_tables(tmp_path, name, suffix):
    """A folder's metadata and a manifest say the same; names lie beside either."""
    path = write_table(tmp_path / f"{name}.{suffix}")
    path = tmp_path if name == "metadata" else path
    expected = [(row["file_name"], row["label"] or None, row["text"]) for row in ROWS]
    assert said(path, {"column": "text"}) == expected
    assert [label for _, label, _ in said(path, {"column": "text"}, label="none")] == [None] * 3
    places = [sample.where["path"] for sample in listed(path, {"column": "text"})]
    assert places == [f"{tmp_path}/b.png", f"{tmp_path}/sub/a.png", "/far/c.png"]


def test_values_that_are_no_text(tmp_path):
    rows = [{"file_name": f"{value}.png", "label": value} for value in (3, 2.5, True, None)]
    write_table(tmp_path / "list.jsonl", rows)
    assert [label for _, label, _ in said(tmp_path / "list.jsonl", CAPTIONLESS)] == ["3", "2.5", "True", None]


def test_list_of_paths_and_urls(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"b.png\r\n\nmemory://m/a.png\n/far/c d.png\n")
    fsspec.filesystem("memory").pipe("/m/a.png", b"far")
    found = listed(tmp_path / "list.txt", {"template": "x"})
    assert [sample.id for sample in found] == ["b.png", "memory://m/a.png", "/far/c d.png"]
    assert found[0].where == {"path": f"{tmp_path}/b.png"} and read_bytes(found[1].where) == b"far"


def test_webdataset(tmp_path):
    """Tars of the library itself, with ids that begin with the tar's name."""
    with webdataset.TarWriter(str(tmp_path / "00000.tar")) as writer:
        writer.write({"__key__": "a", "cls": 3, "jpg": b"first", "txt": "one "})
        writer.write({"__key__": "in/b", "json": {"label": "dog", "n": 1, "t": "two"}, "cls": 4, "png": b"second"})
    write_tar(tmp_path / "00001.tar", {"./a.seg.png": b"mask", "./a.JPG": b"third", "._a.jpg": b"", "only.txt": b"x"})
    found = listed(tmp_path, CAPTIONLESS)
    assert [(sample.id, sample.label) for sample in found] == [
        ("00000.tar/a", "3"),
        ("00000.tar/in/b", "dog"),
        ("00001.tar/a", None),
    ]
    assert [read_bytes(sample.where) for sample in found] == [b"first", b"second", b"third"]
    assert found == listed(tmp_path / "*.tar", CAPTIONLESS)
    assert [sample.id for sample in listed(tmp_path / "00001.tar", CAPTIONLESS)] == ["00001.tar/a"]


def test_webdataset_captions(tmp_path):
    members = {"a.png": b"1", "a.txt": b"one\n", "b.png": b"2", "b.json": b'{"txt": "two", "t": 2}', "b.txt": b"no"}
    path = write_tar(tmp_path / "x.tar", members)
    assert [caption for *_, caption in said(path, {"column": "txt"})] == ["one", "two"]
    (tmp_path / "y").mkdir()
    path = write_tar(tmp_path / "y" / "x.tar", {"b.png": b"2", "b.json": b'{"t": 2}'})
    assert said(path.parent, {"column": "t"}, label="t") == [("x.tar/b", "2", "2")]


def test_parquet_of_datasets(tmp_path):
    """Struct of bytes or path, and labels by their names."""
    photos: list = [str(save(tmp_path / f"{seed}.png", seed)) for seed in range(3)]
    photos[1] = {"bytes": b"embedded", "path": "x.png"}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    table = datasets.Dataset.from_dict({"image": photos, "label": [1, 0, 1]}, features)
    (tmp_path / "d").mkdir()
    table.to_parquet(tmp_path / "d" / "part.parquet", batch_size=2)
    found = listed(tmp_path / "d")
    assert [(sample.id, sample.label) for sample in found] == [
        ("part.parquet#0", "dog"),
        ("part.parquet#1", "cat"),
        ("part.parquet#2", "dog"),
    ]
    assert read_bytes(found[1].where) == b"embedded"
    with open(photos[2], "rb") as file:
        assert read_bytes(found[2].where) == file.read()


def test_parquet_of_bytes_in_another_column(tmp_path):
    table = pa.table({"jpg": pa.array([b"a", b"b", None], pa.large_binary()), "t": ["x", "y", "z"]})
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=1)
    found = listed(tmp_path / "p.parquet", {"column": "t"}, image="jpg")
    assert [(sample.id, sample.caption) for sample in found] == [(f"p.parquet#{n}", "xyz"[n]) for n in range(3)]
    assert [read_bytes(sample.where) for sample in found[:2]] == [b"a", b"b"]
    plain = tmp_path / "q.parquet"
    pq.write_table(pa.table({"image": [b"a", b"b"]}), plain)
    assert [sample.id for sample in listed(plain, CAPTIONLESS)] == ["q.parquet#0", "q.parquet#1"]


@pytest.mark.parametrize("root", ["memory://one/data", "memory://one/data/", "memory:///data"])
def test_urls(classes, root):
    """What fsspec reads gives the same samples as the folder it was copied from."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.put(f"{classes}/", root, recursive=True)
    found = listed(root, CAPTIONLESS)
    assert [(sample.id, sample.label, sample.caption) for sample in found] == CLASSES
    assert [read_bytes(sample.where) for sample in found] == [(classes / name).read_bytes() for name, *_ in CLASSES]


def test_packed_files_by_url(tmp_path):
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.put(str(write_tar(tmp_path / "x.tar", {"a.png": b"pixels", "a.cls": b"1"})), "/w/x.tar")
    memory.put(str(write_table(tmp_path / "list.csv")), "/list.csv")
    pq.write_table(pa.table({"image": [b"a", b"b"]}), tmp_path / "p.parquet")
    memory.put(str(tmp_path / "p.parquet"), "/p/p.parquet")
    (sample,) = listed("memory://w", CAPTIONLESS)
    assert (sample.id, sample.label, read_bytes(sample.where)) == ("x.tar/a", "1", b"pixels")
    assert listed("memory://w/*.tar", CAPTIONLESS) == listed("memory://w/x.tar", CAPTIONLESS) == [sample]
    assert listed("memory://list.csv", CAPTIONLESS)[0].where == {"path": "memory:///b.png"}
    assert read_bytes(listed("memory://p", CAPTIONLESS)[1].where) == b"b"


def test_needs_no_jax():
    code = "import sys; from rival_jax.jobs.inputs import buckets, captions, loading; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""What is wrong with a dataset is told in one sentence that names it, before anything is done."""

import gzip
import os
import sys
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.registry import known_implementations
from test_inputs import CAPTIONLESS, listed, save, write_tar

from rival_jax.errors import InputError
from rival_jax.jobs.inputs.listing import read_bytes


def refused(*arguments, **keys):
    """The one sentence."""
    with pytest.raises(InputError) as caught:
        listed(*arguments, **keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.jsonl", b'{"file_name": "x"}\n\n{"file', "a.jsonl, line 3, is not JSON"),
        ("a.jsonl", b"[1]", "line 1, is no object"),
        ("a.jsonl", b'{"file_name": "x"}\n{"label": 1}', r"line 2, has no file_name \(columns: label\)"),
        ("a.jsonl", b'{"file_name": 7}', "the file_name 7"),
        ("a.jsonl", b'{"file_name": ""}', "the file_name ''"),
        ("a.jsonl", rb'{"file_name": "\u0000"}', "each row must name a picture"),
        ("a.jsonl", rb'{"file_name": "\ud800.png"}', "which no file can have"),
        ("a.jsonl", b'{"file_name": "x", "label": ["a", "b"]}', "Sample x has a list as 'label'"),
        ("a.jsonl", b"[" * 100_000, "line 1, is not JSON"),
        ("a.jsonl", b"", "a.jsonl is empty; give a table"),
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b"file_name,label\n", "a.csv is empty"),
        ("a.csv", b"name;label\na.png;cat\n", r"line 2, has no file_name \(columns: name;label\)"),
        ("a.csv", b"file_name,label\na,b,c\n", "line 2, has 3 cells, but the first line has 2"),
        ("a.csv", b'file_name\n"a', "line 2, is not CSV"),
        ("a.txt", b"\n\n", "a.txt is empty"),
        ("a.txt", "a.png\n".encode("utf-16"), "line 1, has the file_name"),
        ("a.txt", b"foo://bucket/x.png", "foo:// cannot be read .Protocol not known"),
        ("a.parquet", b"", "a.parquet cannot be read"),
        ("a.parquet", b"PAR1" * 10, "a.parquet cannot be read"),
        ("a.tar", b"", "a.tar is compressed, cut short or no tar"),
        ("a.tar", b"no tar" * 1000, "a.tar is compressed, cut short or no tar"),
        ("a.json", b"{}", "a.json is of no known kind; accepted are"),
    ],
)
def test_malformed_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        listed(tmp_path / name, CAPTIONLESS)


def test_missing(tmp_path):
    assert "does not exist; accepted are a folder of class folders" in refused(tmp_path / "none")
    assert "does not exist; accepted" in refused("memory://nowhere/at/all")
    assert "give wildcards that match files" in refused(tmp_path / "*.tar")
    assert "foo://x cannot be read (Protocol not known: foo)." in refused("foo://x")


def test_missing_packages(tmp_path, monkeypatch):
    monkeypatch.setitem(known_implementations, "far", {"class": "farfs.System", "err": "Install farfs"})
    assert refused("far://x").startswith("far://x needs another package to be read: Install farfs")
    (tmp_path / "a.txt").write_text("far://x/y.png")
    assert refused(tmp_path / "a.txt").startswith("far:// needs another package to be read: Install farfs")
    pq.write_table(pa.table({"image": [b"a"]}), tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "pip install 'rival-jax[parquet]'" in refused(tmp_path / "a.parquet")


def test_labels_that_are_not_there(tmp_path):
    save(tmp_path / "a" / "x.png")
    message = refused(tmp_path / "a")
    assert "Sample x.png has no label 'label' (its columns: none)" in message
    assert all(f"caption.{key}" in message for key in ("template without {label}", "column", "captioner"))
    (tmp_path / "b.csv").write_text("file_name,class\nx.png,cat\n")
    assert "(its columns: file_name, class)" in refused(tmp_path / "b.csv")
    assert listed(tmp_path / "b.csv", label="class")[0].label == "cat"


def test_captions_that_are_not_there(tmp_path):
    (tmp_path / "b.csv").write_text("file_name,class\nx.png,cat\n")
    assert "no caption 'text'; give one of its columns as caption.column (file_name, class)" in refused(
        tmp_path / "b.csv", {"column": "text"}
    )
    pq.write_table(pa.table({"image": [b"a"], "words": ["b"]}), tmp_path / "c.parquet")
    assert "(image, words)" in refused(tmp_path / "c.parquet", {"column": "text"})
    write_tar(tmp_path / "d.tar", {"a.png": b"1", "a.json": b'{"t": 2}', "a.cls": b"1"})
    assert "(label, t)" in refused(tmp_path / "d.tar", {"column": "txt"})


def test_parquet_without_pictures(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [1], "y": [2]}), path)
    assert "neither a column 'image' (input.image) nor file_name; it has x, y" in refused(path)
    pq.write_table(pa.table({"image": [[1, 2]]}), path)
    assert "holds list<element: int64> in its column 'image'; accepted are bytes" in refused(path)
    pq.write_table(pa.table({"image": pa.array([None, {"bytes": None, "path": None}])}), path)
    assert "holds struct" in refused(path)


def test_tars_that_are_compressed_or_damaged(tmp_path):
    whole = write_tar(tmp_path / "a.tar", {f"{number}.png": bytes(2000) for number in range(20)}).read_bytes()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.tar.gz").write_bytes(gzip.compress(whole))
    assert "a.tar.gz is compressed" in refused(tmp_path / "d", CAPTIONLESS)
    (tmp_path / "cut.tar").write_bytes(whole[: 2560 * 10 - 700])
    assert "cut.tar is compressed, cut short" in refused(tmp_path / "cut.tar", CAPTIONLESS)
    (tmp_path / "bad.tar").write_bytes(whole[: 2560 * 5] + b"\xff" * tarfile.BLOCKSIZE + whole[2560 * 5 + 512 :])
    assert "damaged header at byte 12800" in refused(tmp_path / "bad.tar", CAPTIONLESS)
    write_tar(tmp_path / "json.tar", {"a.png": b"1", "a.json": b"{"})
    assert "json.tar/a.json is not JSON" in refused(tmp_path / "json.tar", CAPTIONLESS)


@pytest.mark.parametrize("beside", ["x.png", "cat/x.png"])
def test_folder_of_two_kinds(tmp_path, beside):
    write_tar(tmp_path / "a.tar", {"a.png": b"1"})
    save(tmp_path / beside)
    assert f"has a.tar beside pictures or folders; give {tmp_path}/*.tar" in refused(tmp_path, CAPTIONLESS)


def test_places_that_changed_since(tmp_path):
    """Reading tells what became of a picture after it was listed."""
    save(tmp_path / "d" / "cat" / "a.png")
    tar = write_tar(tmp_path / "a.tar", {"a.png": bytes(2000)})
    pq.write_table(pa.table({"image": [b"a", None]}), tmp_path / "p.parquet")
    (file,), (member,) = listed(tmp_path / "d"), listed(tar, CAPTIONLESS)
    whole, empty = listed(tmp_path / "p.parquet", CAPTIONLESS)
    (tmp_path / "d" / "cat" / "a.png").unlink()
    os.truncate(tar, 1000)
    for sample, message in (
        (file, "a.png does not exist, or no longer"),
        (member, "a.tar is shorter than when the job was planned"),
        (empty, "no image bytes in column 'image', group 0, row 1"),
    ):
        with pytest.raises(InputError, match=message):
            read_bytes(sample.where)
    assert read_bytes(whole.where) == b"a"
    os.mkfifo(tmp_path / "d" / "cat" / "a.png")
    with pytest.raises(InputError, match="is not a file"):
        read_bytes(file.where)

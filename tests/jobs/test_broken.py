"""A thousand pictures of which one in twenty is broken: each is reported with its reason, and all others are varied."""

import json
import os
import struct
import zlib

import numpy as np
import pytest
from command import rival
from dataset import job_of, write_dataset
from PIL import Image

from rival_jax.jobs import read_plan, status
from rival_jax.jobs.rows import read_rows


def _bomb(width, height):
    """A PNG whose header alone claims these sides."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


BROKEN = {
    "truncated": (lambda data: data[: len(data) // 2], "is damaged or cut short"),
    "empty": (lambda data: b"", "is empty (0 bytes)"),
    "text": (lambda data: b"<html>404</html>", "is not a picture that Pillow can read"),
    "bomb": (lambda data: _bomb(100_000, 100_000), "has more than 100 megapixels"),
    "wrong": (lambda data: b"PK\x03\x04" + data, "is not a picture that Pillow can read"),
}
MODES = ("L", "LA", "P", "RGBA", "CMYK", "1", "I;16")


@pytest.mark.slow
def test_a_thousand_pictures(checkpoint, tmp_path):
    folder = write_dataset(tmp_path / "in", 1000)
    paths = sorted(path for path in folder.rglob("*.png"))
    reasons = {}
    for number, path in enumerate(paths[::20]):
        kind = list(BROKEN)[number % len(BROKEN)]
        break_it, reason = BROKEN[kind]
        path.write_bytes(break_it(path.read_bytes()))
        reasons[str(path.relative_to(folder))] = reason
    for number, path in enumerate(paths[7::50]):
        mode = MODES[number % len(MODES)]
        image = Image.open(path)
        odd = (
            Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257) if mode == "I;16" else image.convert(mode)
        )
        odd.save(path, format="TIFF" if mode == "CMYK" else "PNG")
    odd_name = os.fsencode(folder) + b"/cat/caf\xe9.png"  # Latin-1, no Unicode: a good picture, and a broken one
    os.rename(paths[1], odd_name)
    bad_name = os.fsencode(folder) + b"/cat/\xff\xfe.png"
    os.rename(paths[20], bad_name)
    reasons["cat/\\xff\\xfe.png"] = reasons.pop(str(paths[20].relative_to(folder)))

    keys = {"shard_size": 50, "batch_size": 10, "num_variations": 1, "model": {"name": str(checkpoint)}}
    job = job_of(folder, tmp_path / "out", recipe=[{"num_inference_steps": 1}], filters={"duplicates": 0.0}, **keys)
    (tmp_path / "job.json").write_text(json.dumps(job.model_dump(mode="json")))
    result = rival("augment", "run", tmp_path / "job.json")
    assert result.code == 0, result.err
    plan = read_plan(tmp_path / "out")
    assert (
        status(plan).pictures == {"success": 950, "failed_to_read": 50} or dict(status(plan).pictures)["success"] == 950
    )
    rows = [row for shard in range(plan.num_shards) for row in read_rows(plan.rows_file(shard))]
    bad = {row.source_id: row.message for row in rows if row.status != "success"}
    assert bad.keys() == reasons.keys() and len(rows) == 1000
    assert all(reason in bad[name] and name in bad[name] for name, reason in reasons.items())
    assert "cat/caf\\xe9.png" in {row.source_id for row in rows if row.status == "success"}

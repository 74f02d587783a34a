"""The page of `rival demo` in a browser, on the embedded model."""

import os
import re
import socket
import subprocess
import sys

import pytest
from command import save_photo

pytestmark = pytest.mark.browser

RUN = 120_000  # milliseconds that one run may take, with compiling


@pytest.fixture
def page(chromium, tmp_path):
    """The page of a demo that runs in its own process; nothing in it may go wrong, nor anything else be asked."""
    pytest.importorskip("gradio", reason="needs pip install 'rival-jax[demo]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", "rival_jax.cli", "demo", "--port", address.partition(":")[2]]
    environment = os.environ | {"GRADIO_TEMP_DIR": str(tmp_path / "cache")}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        try:
            assert any(f"http://{address}/" in line for line in server.stderr)
            page, asked = chromium.new_page(), []
            page.on("request", lambda request: asked.append(request.url))
            page.goto(f"http://{address}/")
            yield page
            page.close()
        finally:
            server.terminate()
        assert server.stderr.read() == ""
    assert {url.split("/")[2] for url in asked if url.startswith("http")} == {address}


def test_the_variation_tab(page, tmp_path):
    """A photo, its variations twice from one seed and once from any; a run that is cancelled; a bad upload."""
    tab = page.locator("[role=tabpanel]:visible")
    note, photo = tab.locator(".prose.note"), tab.locator("input[type=file]")
    drawn = tab.locator(".pictures img")

    def number(name, value):
        tab.get_by_label(f"number input for {name}").fill(str(value))

    def draw():
        tab.get_by_role("button", name="Draw").click()

    def pictures(said):
        note.get_by_text(re.compile(said)).wait_for(timeout=RUN)
        return [picture.get_attribute("src") for picture in drawn.all()]  # names hold a hash of what is shown

    tab.get_by_label("Remove Image").click()
    photo.set_input_files(save_photo(tmp_path / "cat.png", size=(90, 70)))
    tab.get_by_text("Settings").click()
    number("num_inference_steps", 2)
    number("num_variations", 3)
    tab.get_by_label("seed", exact=True).fill("5")
    draw()
    first = pictures(r"^Seed 5, [\d.]+ s\.$")
    assert len(first) == len(set(first)) == 2 + 3  # the photo and its reconstruction before them
    assert tab.locator(".caption-label").all_inner_texts()[2:] == ["1", "2", "3"]

    tab.get_by_label("random").check()
    draw()
    other = pictures(r"^Seed \d{2,}, ")
    assert other[:2] == first[:2] and not set(other[2:]) & set(first[2:])

    number("num_inference_steps", 100)
    number("num_variations", 16)
    draw()
    tab.locator(".progress-level-inner", has_text=re.compile("inversion|generation")).wait_for(timeout=RUN)
    tab.get_by_role("button", name="Cancel").click()
    assert pictures(r"^Cancelled\.$") == other

    tab.get_by_label("Remove Image").click()
    (tmp_path / "dog.png").write_text("no picture")
    photo.set_input_files(tmp_path / "dog.png")
    page.get_by_text("dog.png is not a picture that Pillow can read, such as PNG, JPEG, WebP or TIFF.").wait_for()
    draw()
    pictures("^photo is missing: upload one, or take a sample.$")

    photo.set_input_files(tmp_path / "cat.png")
    number("num_inference_steps", 2)
    number("num_variations", 3)
    tab.get_by_label("random").uncheck()
    tab.get_by_label("seed", exact=True).fill("5")
    draw()
    assert pictures("^Seed 5, ") == first

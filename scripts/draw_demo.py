"""Draws docs/demo.png: the first tab of `rival demo` in a headless Chromium, after a run.

`python scripts/draw_demo.py` needs pip install -e '.[dev]' and chromium.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parents[1] / "docs" / "demo.png"
PORT = 7899


def main() -> None:
    command = [sys.executable, "-m", "rival_jax.cli", "demo", "--port", str(PORT)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            if not any("The page is at" in line for line in server.stderr):
                sys.exit("rival demo did not start.")
            draw()
        finally:
            server.terminate()


def draw() -> None:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 890})
        page.goto(f"http://127.0.0.1:{PORT}/")
        tab = page.locator("[role=tabpanel]:visible")
        tab.get_by_role("button", name="Draw").click()
        tab.locator(".prose.note", has_text="Seed 0, ").wait_for(timeout=300_000)
        page.wait_for_function("[...document.images].every(image => image.complete)")
        page.screenshot(path=PICTURE, animations="disabled")
        browser.close()


if __name__ == "__main__":
    main()

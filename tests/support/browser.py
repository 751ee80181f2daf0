"""A real browser, for tests that a page shows without a complaint."""

import shutil
import subprocess
from pathlib import Path

LEAST_PICTURE = 50_000  # bytes of a screenshot with charts on it; a blank page has far fewer


def show(page: str, folder: Path, height: int) -> None:
    """Open a page in headless Chromium; AssertionError when it draws nothing or logs a console message."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is missing: apt install chromium"
    path, shot = folder / "report.html", folder / "report.png"
    path.write_text(page)
    done = subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={folder / 'profile'}",
            "--enable-logging=stderr",
            "--v=0",
            f"--window-size=1200,{height}",
            f"--screenshot={shot}",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert shot.stat().st_size > LEAST_PICTURE
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []

"""A browser shows the page of a comparison."""

import os
import shutil
import subprocess

import numpy as np
import pytest
from comparison_frames import make_frames
from matplotlib.image import imread
from pages import Page, called, column, write


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("page"))


BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
OFFLINE = ["--headless", "--disable-gpu", "--no-sandbox", "--hide-scrollbars"]
OFFLINE += ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr"]


def browse(folder, file, *options):
    """What the browser prints; fails if the page wrote to its console."""
    done = subprocess.run(
        [BROWSER, *OFFLINE, f"--user-data-dir={folder / 'profile'}", *options, file.as_uri()],
        capture_output=True,
        timeout=120,
        check=True,
        env=os.environ | {"HOME": str(folder)},
    )
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
    assert said == []
    return done.stdout.decode()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")
def test_browser_shows_the_page_offline(file, tmp_path):
    picture = tmp_path / "page.png"
    browse(tmp_path, file, f"--screenshot={picture}", "--window-size=1200,2600")
    pixels = imread(picture)[..., :3]
    assert pixels.shape[:2] == (2600, 1200)
    assert pixels.std() > 0.05
    # The picture of differences is drawn: its blue and vermilion are there.
    for colour in ((0, 0x72, 0xB2), (0xD5, 0x5E, 0)):
        assert (np.abs(pixels - np.array(colour) / 255).max(axis=-1) < 0.02).sum() > 200
    assert (pixels[:, 0] == 1).all()  # nothing spills over the edge


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")
def test_browser_sorts_the_leaderboard(file, tmp_path):
    click = "document.querySelector('th[data-column=\"1\"] button').click();"
    changed = tmp_path / "sorted.html"
    markup = file.read_text(encoding="utf-8")
    changed.write_text(markup.replace("</body>", f"<script>{click}</script></body>"), "utf-8")
    board = Page(browse(tmp_path, changed, "--dump-dom")).tables[0]
    frame = make_frames().leaderboard
    expected = [
        arm
        for kind in ("arm", "line")
        for arm in frame[frame["kind"] == kind].sort_values("PM2.5 rmse")["arm"]
    ]
    assert [row.removesuffix("reference") for row in column(board)[2:]] == list(
        map(called, expected)
    )
    plain = Page(browse(tmp_path, file, "--dump-dom"))
    assert "aria-sort" not in str(plain.elements)
    assert [tag for tag, _ in plain.elements].count("button") > 5

"""The report: complete, self-contained, and quiet in a real browser."""

import re
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from browser import show
from presage_cli.simulate.figures import summed_minutes, undominated
from presage_cli.simulate.report import report_html
from presage_cli.simulate.table import terminal_table
from presage_simulator.comparison import Comparison
from rich.console import Console

from .made_up import compared


@pytest.fixture(scope="module")
def page() -> str:
    """Give the report of the made-up comparison."""
    return report_html(compared())


def test_the_report_needs_nothing_from_outside(page: str) -> None:
    """No script, style sheet, image or font is loaded from anywhere."""
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page) == []
    assert "@import" not in page
    assert re.findall(r"url\((?!#)", page) == []


def test_the_report_tells_all_there_is(page: str) -> None:
    """Systems, their figures, differences, the worst minutes with their reasons, and settings are there."""
    assert page.count("<svg") == 4
    for text in (
        "ours",
        "theirs",
        "foresight",
        "Against theirs",
        "SLOModel",
        "HPA",
        "wasted replica-seconds",
    ):
        assert text in page
    assert "0:12 h" in page
    assert "2,000 tokens/s &lt;need&gt; 3" in page
    assert "Every request met its objectives." in page


def test_text_from_outside_is_escaped(page: str) -> None:
    """Markup in a description stays text."""
    assert "Is a &lt;b&gt; shown as text?" in page


def test_the_report_is_the_same_bytes_each_time(page: str, made_up: Comparison) -> None:
    """No time of day and no chance is in a report."""
    assert report_html(made_up) == page


def test_a_front_holds_what_nothing_beats() -> None:
    """Of five settings, those that are dearer and no better fall out; the rest goes by cost."""
    cloud = np.array([[3.0, 1.0], [1.0, 5.0], [2.0, 5.0], [4.0, 1.0], [2.5, 2.0]])
    assert undominated(cloud).tolist() == [[1.0, 5.0], [2.5, 2.0], [3.0, 1.0]]


def test_the_table_fits_a_terminal(made_up: Comparison) -> None:
    """The printed table has a line a system, with means and intervals."""
    printed = StringIO()
    Console(width=200, file=printed).print(terminal_table(made_up))
    line = next(each for each in printed.getvalue().splitlines() if each.lstrip().startswith("theirs"))
    assert "1,105 ± " in line
    assert " %" in line


@pytest.mark.browser
def test_a_browser_shows_the_report_without_a_complaint(page: str, tmp_path: Path) -> None:
    """Headless Chromium opens the page, draws its charts and logs no console message."""
    show(page, tmp_path, height=3200)


def test_services_that_end_earlier_count_until_they_end() -> None:
    """Minutes of services of different length are summed as far as each goes."""
    assert summed_minutes([np.array([1, 2, 3]), np.array([10])]).tolist() == [11, 2, 3]

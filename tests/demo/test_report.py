"""The report: complete, self-contained, and quiet in a real browser."""

import re
from pathlib import Path

import pytest
from browser import show
from presage_cli.demo.charts import Axis, Chart, decades, nice_ticks
from presage_cli.demo.report import FIGURES, report_html
from presage_cli.demo.results import Run, result_document
from presage_cli.demo.timeline import Timeline


def test_the_report_needs_nothing_from_outside(made_up: Run) -> None:
    """No script, style sheet, image or font is loaded from anywhere."""
    page = report_html(made_up)
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page) == []
    assert "@import" not in page
    assert "url(" not in page


def test_the_report_shows_every_figure_and_source(made_up: Run) -> None:
    """Results of both services, definitions, policies, the trace and its licence are on the page."""
    page, document = report_html(made_up), result_document(made_up)
    for _, label, _ in FIGURES:
        assert f"<th>{label}</th>" in page
    for name in document["definitions"]:
        assert f"<dt>{name}</dt>" in page
    for text in ("PreServe", "LeastBid", "HPA", "LeastRequest", "CC-BY 4.0", "DynamoLLM", "Splitwise"):
        assert text in page
    for name in ("predictive", "reactive"):
        assert f"{document[name]['slo_attainment'] * 100:.1f} %" in page
    assert page.count("<svg") == 6


def test_an_ablation_is_reported_as_one(made_up_ablation: Run) -> None:
    """The page says what the second service lacks, and draws the forecasts of both."""
    page, less = report_html(made_up_ablation), made_up_ablation.plan.services[1]
    assert f"one the same {less.name.replace('-', ' ')}" in page
    assert page.count('class="line forecast"') == 2
    assert less.forecast_model in page
    assert less.length_predictor in page


def test_a_run_without_answers_still_makes_a_report(made_up: Run) -> None:
    """A run that failed from the start is reported, with what is missing said in words."""
    empty = Run(
        made_up.plan,
        made_up.starts_at,
        made_up.offered_tokens_per_second,
        (),
        Timeline(made_up.plan.service_names),
        0.0,
        0.0,
    )
    page = report_html(empty)
    assert "was sent no request" in page
    assert "none" in page


def test_text_from_outside_is_escaped() -> None:
    """A label with markup in it stays text."""
    chart = Chart("<b>", Axis(0, 1, (0, 1), "<i>x</i>"), Axis(0, 1, (0, 1), "y"))
    chart.rule(0.5, "objective", "<script>")
    svg = chart.svg()
    assert "<script>" not in svg
    assert "<i>" not in svg
    assert "&lt;b&gt;" in svg


def test_ticks_are_round_and_cover_the_values() -> None:
    """Linear ticks are multiples of 1, 2 or 5 and reach the highest value; logarithmic ones stay inside."""
    assert nice_ticks(9.3) == [0, 2, 4, 6, 8, 10]
    assert nice_ticks(0.3)[-1] >= 0.3
    assert decades(50, 2000) == [50, 100, 200, 500, 1000, 2000]


@pytest.mark.browser
def test_a_browser_shows_the_report_without_a_complaint(made_up: Run, tmp_path: Path) -> None:
    """Headless Chromium opens the page, draws its charts and logs no console message."""
    show(report_html(made_up), tmp_path, height=2600)

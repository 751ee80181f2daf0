"""The end of a run in text: figures of both services side by side, legible whatever they are called."""

from presage_cli.demo.plan import Plan
from presage_cli.demo.report import FIGURES
from presage_cli.demo.results import Run, result_document
from presage_cli.demo.summary import summary


def test_every_figure_has_a_line_with_a_cell_for_each_service(made_up: Run) -> None:
    """The table has a head with both names and a line for each figure that the report shows."""
    head, *lines = summary(result_document(made_up)).splitlines()
    assert head.split() == list(made_up.plan.service_names)
    assert [line[:32].strip() for line in lines] == [label for _, label, _ in FIGURES]
    assert {len(line) for line in lines} == {len(head)}


def test_long_names_do_not_run_together(made_up_ablation: Run, ablation: Plan) -> None:
    """Names longer than a cell widen all cells."""
    head = summary(result_document(made_up_ablation)).splitlines()[0]
    assert head.split() == list(ablation.service_names)

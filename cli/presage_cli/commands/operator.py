"""`presage operator`: builds the forecasters and hands them to the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import presage_crds as crds
    from presage_policies.forecasting import Forecaster


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
    log_level: Annotated[
        str, typer.Option(envvar="PRESAGE_OPERATOR_LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
) -> None:
    """Watch LLMServices and scale their pods ahead of load."""
    import asyncio  # noqa: PLC0415 - heavy imports stay inside the command

    from presage_operator import logs  # noqa: PLC0415 - as above
    from presage_operator.run import StartError, serve  # noqa: PLC0415 - as above
    from presage_operator.settings import OperatorSettings, own_namespace  # noqa: PLC0415 - as above

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
    try:
        asyncio.run(serve(settings, forecaster_of))
    except StartError as error:
        typer.echo(f"presage operator: {error}", err=True)
        raise typer.Exit(1) from error


def forecaster_of(settings: crds.Forecast) -> Forecaster:
    """Build the forecaster that an LLMService asks for; `Auto` is the best of all by live backtest."""
    from presage_predictors.controls import HoltWinters, LastValue, SeasonalLevel  # noqa: PLC0415 - heavy
    from presage_predictors.selection import BestOf  # noqa: PLC0415 - heavy

    season = float(settings.season_seconds)
    known: dict[str, Forecaster] = {
        "SeasonalLevel": SeasonalLevel(season_seconds=season),
        "HoltWinters": HoltWinters(season_seconds=season),
        "LastValue": LastValue(),
    }
    if settings.model.value in known:
        return known[settings.model.value]
    return BestOf(tuple(known.values()))

"""`presage router`: run one sidecar; here its shell meets the length predictors."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from presage_policies.lengths import LengthPredictor
    from presage_router.front.lengths import Predictors
    from presage_router.sidecar import Places

_ENV = "PRESAGE_ROUTER_"
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound to


def router(  # noqa: PLR0917 - typer reads options from parameters
    config: Annotated[
        Path | None,
        typer.Option(envvar=_ENV + "CONFIG", help="Configuration file, read again when it changes."),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(envvar=_ENV + "SERVICE", help="Service name while there is no configuration file."),
    ] = None,
    namespace: Annotated[
        str, typer.Option(envvar=_ENV + "NAMESPACE", help="Namespace of the service.")
    ] = "default",
    engine: Annotated[
        str, typer.Option(envvar=_ENV + "ENGINE", help="URL of the engine that this sidecar guards.")
    ] = "http://127.0.0.1:8200",
    front: Annotated[
        str, typer.Option(envvar=_ENV + "FRONT", help="HOST:PORT to listen on for clients.")
    ] = "0.0.0.0:8000",
    peer: Annotated[
        str,
        typer.Option(
            envvar=_ENV + "PEER", help="HOST:PORT to listen on for sidecars, probes and Prometheus."
        ),
    ] = "0.0.0.0:8100",
    advertise: Annotated[
        str | None,
        typer.Option(envvar=_ENV + "ADVERTISE", help="Host that peers reach this sidecar by (the pod IP)."),
    ] = None,
    peers_file: Annotated[
        Path | None,
        typer.Option(
            envvar=_ENV + "PEERS_FILE", help="File that lists all sidecars, followed as it changes."
        ),
    ] = None,
    endpointslices: Annotated[
        str | None,
        typer.Option(
            envvar=_ENV + "ENDPOINTSLICES", help="Service whose EndpointSlices list all sidecars (in a pod)."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(envvar=_ENV + "SEED", help="Seed of random choices; from the system if unset."),
    ] = None,
    length_weights: Annotated[
        Path | None,
        typer.Option(
            envvar=_ENV + "LENGTH_WEIGHTS",
            help="Weights of `presage length train` for Fast and Auto; unset: those of the package.",
        ),
    ] = None,
    log_level: Annotated[
        str, typer.Option(envvar=_ENV + "LOG_LEVEL", help="debug, info, warning or error.")
    ] = "info",
) -> None:
    """Run a sidecar: front to clients and guard of one engine."""
    from presage_router.config import ConfigError, RouterConfig  # noqa: PLC0415 - heavy imports stay inside the command
    from presage_router.event_loop import run  # noqa: PLC0415
    from presage_router.live_config import LiveConfig  # noqa: PLC0415
    from presage_router.logs import LEVELS, configure_logs  # noqa: PLC0415
    from presage_router.sidecar import Sidecar  # noqa: PLC0415

    try:
        if log_level not in LEVELS:
            raise ConfigError(f"--log-level is {log_level!r}: give one of {', '.join(LEVELS)}")
        configure_logs(log_level)
        fallback = None if service is None else RouterConfig(service=service, namespace=namespace)
        live = LiveConfig(config, fallback)
        places = _places(engine, front, peer, advertise, peers_file, endpointslices, namespace)
        predictors = _predictors(live.config.predictor, length_weights)

        async def serve() -> None:
            await Sidecar(places, live, predictors, seed).run()

        run(serve())
    except (ValueError, OSError) as error:
        typer.echo(f"presage router: {error}", err=True)
        raise typer.Exit(2) from None


def _places(  # noqa: PLR0917 - the options, as typer gives them
    engine: str,
    front: str,
    peer: str,
    advertise: str | None,
    peers_file: Path | None,
    endpointslices: str | None,
    namespace: str,
) -> "Places":
    import os  # noqa: PLC0415

    from presage_router.addresses import check_url, split_address  # noqa: PLC0415
    from presage_router.config import ConfigError  # noqa: PLC0415
    from presage_router.peers.endpointslices import ApiServer  # noqa: PLC0415
    from presage_router.sidecar import Endpoints, Places  # noqa: PLC0415

    if peers_file is not None and endpointslices is not None:
        raise ConfigError("--peers-file and --endpointslices are both given: give one of them")
    peer_address = split_address(peer, "--peer")
    known_by = advertise or peer_address[0]
    if known_by in _EVERYWHERE:
        if peers_file is not None or endpointslices is not None:
            raise ConfigError(
                "--advertise is missing: give the address that peers reach this sidecar by (the pod IP)"
            )
        known_by = "127.0.0.1"
    endpoints = None
    if endpointslices is not None:
        endpoints = Endpoints(ApiServer.in_cluster(os.environ), namespace, endpointslices)
    return Places(
        engine=check_url(engine, "--engine"),
        front=split_address(front, "--front"),
        peer=peer_address,
        advertise=known_by,
        peers_file=peers_file,
        endpoints=endpoints,
    )


def _predictors(name: str, weights: Path | None = None) -> "Predictors":
    """Build the predictors that the configuration names, warm.

    Raises ConfigError, and ArtefactError for weights that cannot be used.
    """
    from presage_predictors.history import HistoryLengthPredictor  # noqa: PLC0415
    from presage_predictors.prior import PriorLengthPredictor  # noqa: PLC0415
    from presage_router.config import ConfigError  # noqa: PLC0415
    from presage_router.front.lengths import Predictors  # noqa: PLC0415

    plain: dict[str, Callable[[], LengthPredictor]] = {
        "History": HistoryLengthPredictor,
        "Prior": PriorLengthPredictor,
    }
    if name in plain:
        return Predictors(plain[name]())
    if name not in _READERS:
        raise ConfigError(f"predictor is {name!r}: give one of {', '.join((*plain, *_READERS))}")
    return _readers(name, weights)


_READERS = ("Fast", "Auto")  # predictors that read prompts


def _readers(name: str, weights: Path | None) -> "Predictors":
    """Load predictors that read prompts; imported only here, for few sidecars need them."""
    from presage_policies.lengths import RequestFeatures  # noqa: PLC0415
    from presage_predictors.history import HistoryLengthPredictor  # noqa: PLC0415
    from presage_predictors.lengths import artefact, tiers  # noqa: PLC0415
    from presage_predictors.lengths.combined import CombinedLengthPredictor  # noqa: PLC0415
    from presage_router.front.lengths import Predictors, quick  # noqa: PLC0415

    found = artefact.found(weights)
    text = tiers.text_of(found)
    predictor = text if name == "Fast" else CombinedLengthPredictor(text)
    in_thread = not quick(predictor, [RequestFeatures("", "", 400, None, text) for text in _warming()])
    written = None if weights is None else weights.stat().st_mtime
    return Predictors(predictor, HistoryLengthPredictor(), in_thread, found.version, written)


def _warming() -> "Iterator[str]":
    """Yield prompts that differ and are as long as any that is read, to warm a predictor and time it."""
    for turn in range(_WARMING_PROMPTS):
        yield " ".join(f"word{turn * word}, line({word})?" for word in range(100))


_WARMING_PROMPTS = 15

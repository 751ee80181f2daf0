"""The operator's HTTP port: probes, metrics, and the recommendation for other autoscalers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

    from presage_operator.metrics import Metrics

    Health = Callable[[], str | None]  # what is wrong; None: nothing
    Recommendation = Callable[[str, str], dict[str, Any] | None]


class HttpServer:
    """Serves `/livez`, `/readyz`, `/metrics` and `/external/NAMESPACE/NAME`."""

    def __init__(self, metrics: Metrics, live: Health, ready: Health, recommendation: Recommendation) -> None:
        self._metrics = metrics
        self._recommendation = recommendation
        app = web.Application()
        app.router.add_get("/livez", _probe(live))
        app.router.add_get("/readyz", _probe(ready))
        app.router.add_get("/metrics", self._serve_metrics)
        app.router.add_get("/external/{namespace}/{name}", self._serve_recommendation)
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises OSError when the address is taken."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _serve_metrics(self, _: web.Request) -> web.Response:
        body = generate_latest(self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _serve_recommendation(self, request: web.Request) -> web.Response:
        """Answer the form that KEDA's metrics-api scaler reads (`valueLocation: desiredReplicas`)."""
        namespace, name = request.match_info["namespace"], request.match_info["name"]
        told = self._recommendation(namespace, name)
        if told is None:
            # Never a number that nobody stands behind: the reader then keeps what it has.
            return web.json_response(
                {"error": f"no current recommendation for LLMService {namespace}/{name}"}, status=503
            )
        return web.json_response(told)


def _probe(health: Health) -> Callable[[web.Request], Any]:
    async def answer(_: web.Request) -> web.Response:
        trouble = health()
        return web.Response(text=f"{trouble or 'ok'}\n", status=503 if trouble else 200)

    return answer

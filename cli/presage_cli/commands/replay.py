"""`presage replay`: sends the demo's requests to its services and says on standard output how they fared."""

from pathlib import Path
from typing import Annotated

import typer


def replay(
    plan: Annotated[Path, typer.Option(help="The plan that `presage demo` wrote.")],
    shape: Annotated[Path, typer.Option(help="Requests per minute in windows (CSV).")],
    lengths: Annotated[Path, typer.Option(help="Prompt and output tokens of requests (CSV).")],
    starts_at: Annotated[float, typer.Option(help="Wall-clock second at which the part that counts begins.")],
    url: Annotated[
        list[str], typer.Option(help="NAME=BASE_URL of a service; every service gets every request.")
    ],
) -> None:
    """Replay a load against services: open loop, the same requests at the same instants to each.

    Writes one JSON line a request and one a second; exits 0 when all was sent, however it was answered.
    """
    import asyncio  # noqa: PLC0415 - heavy imports stay inside the command

    from presage_cli.demo.plan import PlanError, load_plan  # noqa: PLC0415
    from presage_cli.demo.replay import Replay, print_line  # noqa: PLC0415
    from presage_cli.demo.schedule import build_schedule  # noqa: PLC0415
    from presage_cli.demo.traces import TraceError, read_lengths, read_shape  # noqa: PLC0415

    urls = dict(_named(entry) for entry in url)
    try:
        the_plan = load_plan(plan)
        arrivals = build_schedule(read_shape(shape), read_lengths(lengths), the_plan)
    except (PlanError, TraceError) as error:
        raise typer.BadParameter(str(error)) from error

    async def run() -> None:
        await Replay(the_plan, arrivals, urls, starts_at, print_line).run()

    asyncio.run(run())


def _named(entry: str) -> tuple[str, str]:
    name, found, address = entry.partition("=")
    if not found or not name or not address.startswith(("http://", "https://")):
        raise typer.BadParameter(f"--url is {entry!r}: write NAME=http://HOST[:PORT]")
    return name, address

"""The `presage` command: one subcommand a role, each a composition root.

Heavy imports live inside the subcommands, so that an image which carries only one role's
dependencies can run that role.
"""

import typer

from presage_cli.commands.crds import crds
from presage_cli.commands.demo import demo
from presage_cli.commands.demo_history import demo_history
from presage_cli.commands.engine import engine
from presage_cli.commands.forecast import forecast
from presage_cli.commands.length import length
from presage_cli.commands.operator import operator
from presage_cli.commands.replay import replay
from presage_cli.commands.router import router
from presage_cli.commands.sandbox import sandbox
from presage_cli.commands.sandbox_image import image
from presage_cli.commands.simulate import simulate

app = typer.Typer(
    name="presage",
    help="Serves large language models on Kubernetes ahead of demand.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def presage() -> None:
    """Serve large language models on Kubernetes ahead of demand."""


app.command()(crds)
app.add_typer(engine)
app.command()(operator)
app.command()(demo)
app.command()(replay)
app.command()(router)
app.command()(simulate)
app.command(hidden=True)(demo_history)
app.add_typer(sandbox)
app.add_typer(length)
app.add_typer(forecast)
sandbox.add_typer(image)

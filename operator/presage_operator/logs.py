"""JSON logs, one object a line, the style that the sidecars share."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor


def configure(level: str = "info") -> None:
    """Send structlog's and the standard library's logs to stderr as JSON.

    Raises ValueError on an unknown level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"log level is {level!r}: give debug, info, warning or error")
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    handler.addFilter(_not_expected)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    # A watch that reconnects is no news; what kopf reports beyond that is.
    logging.getLogger("kopf").setLevel(max(number, logging.WARNING))
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def _not_expected(record: logging.LogRecord) -> bool:
    """Drop what kopf warns of when it runs in a thread, which it does on purpose."""
    return "OS signals are ignored" not in record.getMessage()

"""Where the operator reads load."""

from typing import Annotated

from pydantic import Field

from presage_crds.base import Part


class Prometheus(Part):
    """A Prometheus, or anything that speaks its query API."""

    address: Annotated[str, Field(min_length=8, max_length=2048, pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]
    """Base URL, as in `http://prometheus.monitoring:9090`. It must scrape the sidecars' peer port."""

    stale_after_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """Load older than this is stale: the operator then scales nothing down and says so."""


class Metrics(Part):
    """Sources of measurements."""

    prometheus: Prometheus
    """The Prometheus that holds the sidecars' metrics; history and present load come from it."""

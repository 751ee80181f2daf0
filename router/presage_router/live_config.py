"""The configuration as it is now: read again when its file changes, the last good one kept."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog
from presage_policies.engine import EngineProfile
from presage_policies.profiles import load_profile

from presage_router.config import ConfigError, RouterConfig, load_config
from presage_router.file_watch import FileWatch

_log = structlog.get_logger("presage.router")


def profile_of(config: RouterConfig) -> EngineProfile:
    """Return the engine profile that a configuration names. Raises ConfigError."""
    try:
        return load_profile(config.profile)
    except ValueError as error:
        raise ConfigError(f"profile: {error}") from error


class LiveConfig:
    """Follows one file. `fallback` serves while the file does not exist yet (an optional ConfigMap)."""

    def __init__(self, path: Path | None, fallback: RouterConfig | None) -> None:
        self._path = path
        self._watch = FileWatch(path) if path is not None else None
        self.config, self.profile = self._first(fallback)

    def _first(self, fallback: RouterConfig | None) -> tuple[RouterConfig, EngineProfile]:
        if self._path is not None and self._watch is not None and (self._path.exists() or fallback is None):
            self._watch.changed()
            config = load_config(self._path)
        elif fallback is not None:
            config = fallback
            if self._path is not None:
                _log.info("no configuration file yet; defaults serve", path=str(self._path))
        else:
            raise ConfigError("no configuration: give --config FILE, or --service NAME to run on defaults")
        return config, profile_of(config)

    async def run(
        self, apply: Callable[[RouterConfig, EngineProfile], None], refused: Callable[[], None]
    ) -> None:
        """Follow the file until cancelled; `refused` is called for each file that cannot be used."""
        if self._watch is None:
            return
        while True:
            await asyncio.sleep(FileWatch.INTERVAL_SECONDS)
            if self._watch.changed():
                self._reload(apply, refused)

    def _reload(
        self, apply: Callable[[RouterConfig, EngineProfile], None], refused: Callable[[], None]
    ) -> None:
        assert self._path is not None
        try:
            config = load_config(self._path)
            self.config.check_successor(config)
            profile = profile_of(config)
        except ConfigError as error:
            refused()
            _log.error("configuration refused; the last good one stays", error=str(error))
            return
        if config.predictor != self.config.predictor:
            _log.warning(
                "another predictor takes a restart", now=self.config.predictor, wanted=config.predictor
            )
        self.config, self.profile = config, profile
        apply(config, profile)
        _log.info("configuration read", policy=config.policy, profile=profile.name)

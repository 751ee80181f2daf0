"""Gives up on an upstream that falls silent in the middle of an answer.

A stream is read chunk by chunk, and a time-out around each read would arm and disarm a timer each. Here
one timer serves the whole stream: when it fires it looks how long the read under way has waited.
"""

import asyncio

import aiohttp


class PatientReader:
    """Reads a response's body; a read that waits longer than `idle_seconds` closes the response.

    Time between reads does not count: then it is the client that is slow.
    """

    def __init__(self, response: aiohttp.ClientResponse, idle_seconds: float) -> None:
        self._response = response
        self._idle_seconds = idle_seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waits_since: float | None = None
        self._silent = False

    async def read(self) -> bytes:
        """Return what has come, empty at the end.

        Raises TimeoutError when nothing came in time, aiohttp.ClientError or OSError when it broke off.
        """
        self._waits_since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_at(self._waits_since + self._idle_seconds, self._look)
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, OSError):
            if self._silent:
                raise TimeoutError from None
            raise
        finally:
            self._waits_since = None

    def stop(self) -> None:
        """Take back the timer, once nothing more will be read."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        due = (now if self._waits_since is None else self._waits_since) + self._idle_seconds
        if due > now:
            self._timer = self._loop.call_at(due, self._look)
            return
        self._silent = True
        self._response.close()  # ends the read that waits

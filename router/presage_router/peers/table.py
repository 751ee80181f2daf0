"""The peers a front may use now.

Discovery says who exists; experience says who answers. A peer that fails is put aside for a while,
longer each time, but never all of them: when everyone is aside everyone is tried, because a wrong
suspicion must not turn a slow moment into an outage.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

_FIRST_ASIDE_SECONDS = 1.0
_LONGEST_ASIDE_SECONDS = 30.0
_FAILURES_BEFORE_ASIDE = 2
_LARGEST_DOUBLING = 6


@dataclass(frozen=True, slots=True)
class Peer:
    """Another sidecar: where clients reach it and where sidecars do, each `host:port`."""

    front: str
    peer: str

    @property
    def id(self) -> str:
        """Its name among sidecars: the address of its peer listener."""
        return self.peer


@dataclass(slots=True)
class _Standing:
    failures: int = 0
    aside_until: float = 0.0


class PeerTable:
    """Known peers and their standing; times are readings of one monotonic clock, in seconds."""

    def __init__(self, self_id: str) -> None:
        self.self_id = self_id
        self._peers: dict[str, Peer] = {}
        self._standing: dict[str, _Standing] = {}
        self._listeners: list[Callable[[list[Peer]], None]] = []
        self.confirmed_at: float | None = None

    def on_new(self, listener: Callable[[list[Peer]], None]) -> None:
        """Call `listener` with the peers that an update brings for the first time."""
        self._listeners.append(listener)

    def update(self, peers: Iterable[Peer], now: float) -> None:
        """Take in the whole list of peers that are ready, as discovery knows it."""
        former = self._peers
        self._peers = {peer.id: peer for peer in peers}
        self._standing = {k: v for k, v in self._standing.items() if k in self._peers}
        self.confirmed_at = now
        fresh = [peer for key, peer in self._peers.items() if key not in former and key != self.self_id]
        if fresh:
            for listener in self._listeners:
                listener(fresh)

    def confirm(self, now: float) -> None:
        """Note that discovery looked and nothing had changed."""
        self.confirmed_at = now

    def age(self, now: float) -> float:
        """Seconds since discovery last knew for sure; infinite before the first time."""
        return float("inf") if self.confirmed_at is None else now - self.confirmed_at

    @property
    def others(self) -> list[Peer]:
        """All known peers but this sidecar itself."""
        return [peer for key, peer in self._peers.items() if key != self.self_id]

    def usable(self, now: float) -> list[Peer]:
        """Return the other peers that are not aside; all of them when every one is."""
        return self.standing(now) or self.others

    def standing(self, now: float) -> list[Peer]:
        """Return the other peers that are not aside, perhaps none."""
        return [peer for peer in self.others if not self.is_aside(peer.id, now)]

    def is_aside(self, peer_id: str, now: float) -> bool:
        """Tell whether a peer is put aside at present."""
        standing = self._standing.get(peer_id)
        return standing is not None and standing.aside_until > now

    def aside_count(self, now: float) -> int:
        """Return how many known peers are put aside at present."""
        return sum(1 for peer in self.others if self.is_aside(peer.id, now))

    def failed(self, peer_id: str, now: float, *, certain: bool = False) -> None:
        """Note a failure.

        `certain` (connection refused) puts the peer aside at once and each time for twice as long; else
        (slow, broken off) the second in a row does, briefly: a busy moment must not cost a peer for long.
        """
        if peer_id not in self._peers or peer_id == self.self_id:
            return
        standing = self._standing.setdefault(peer_id, _Standing())
        standing.failures += 1
        if certain:
            doublings = min(standing.failures - 1, _LARGEST_DOUBLING)
            standing.aside_until = now + min(_FIRST_ASIDE_SECONDS * 2**doublings, _LONGEST_ASIDE_SECONDS)
        elif standing.failures >= _FAILURES_BEFORE_ASIDE:
            standing.aside_until = now + _FIRST_ASIDE_SECONDS

    def refused(self, peer_id: str, now: float) -> None:
        """Note that a peer is there and wants nothing new: it is asked again soon."""
        if peer_id in self._peers and peer_id != self.self_id:
            self._standing[peer_id] = _Standing(failures=0, aside_until=now + _FIRST_ASIDE_SECONDS)

    def succeeded(self, peer_id: str) -> None:
        """Note that a peer answered: it is in good standing again."""
        self._standing.pop(peer_id, None)

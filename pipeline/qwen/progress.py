"""Who listens to the editor, and what they still wait for."""

from __future__ import annotations

from pipeline.editor import Event, OnEvent


class Progress:
    """Tells events, and remembers which requests nobody waits for any more."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._dropped: frozenset[str] = frozenset()

    def wants(self, request_id: str) -> bool:
        """Whether somebody still waits for it."""
        return request_id not in self._dropped

    def tell(self, event: Event) -> bool:
        """Tell the event; whether its request is still wanted."""
        self._dropped |= self._on_event(event)
        return self.wants(event.request_id)

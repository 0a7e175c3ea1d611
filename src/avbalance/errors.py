"""The exception that a user is meant to read, and the one that costs a single clip."""

from flowkeeper.errors import UserError

__all__ = ["LostClip", "UserError"]


class LostClip(Exception):
    """A clip that cannot be used: `status` as in a manifest, and the reason. It is counted; the others go on."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason

"""The exception that a user is meant to read, and the one that costs a single clip."""


class UserError(Exception):
    """Bad input, told in one sentence that names the file, the row and the fix.

    The command line prints the sentence alone and exits with status 2; any other exception is a defect of avbalance and
    keeps its traceback.
    """


class LostClip(Exception):
    """A clip that cannot be used: `status` as in a manifest, and the reason. It is counted; the others go on."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason

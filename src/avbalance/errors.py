"""The one exception a user is meant to read."""


class UserError(Exception):
    """Bad input, told in one sentence that names the file, the row and the fix.

    The command line prints the sentence alone and exits with status 2; any other exception is a defect of avbalance and
    keeps its traceback.
    """

"""The exception that a user is meant to read."""


class UserError(Exception):
    """Bad input, told in one sentence that names the file, the place in it and the fix.

    A command line prints the sentence alone and exits with status 2; any other exception is a defect of the program and
    keeps its traceback.
    """

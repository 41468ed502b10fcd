"""The one exception that a user of the benchmark is meant to read."""


class DistilleakError(Exception):
    """Bad input, reported in one line.

    The message names the file, the key or record, what is wrong and what is allowed. Stages
    print it without a traceback and exit with status 1.
    """

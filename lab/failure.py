"""The one error of the lab."""


class LabError(Exception):
    """A server is missing, did not start, or refused: the sentence says what to do."""

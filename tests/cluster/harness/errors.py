"""What keeps a test cluster from running, told to the person who can mend it."""


class HarnessError(Exception):
    """Something the harness needs is missing or did not come up; the text says what to do."""

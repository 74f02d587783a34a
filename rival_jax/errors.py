"""The one exception that means: what the user gave cannot be used."""


class InputError(ValueError):
    """Unusable input, told in one sentence that names the offending thing and what is accepted.

    Raised before any model work; the command line prints it to stderr and exits with 2.
    """


class JobError(RuntimeError):
    """A job cannot go on, told in one sentence; what it has finished is kept. The command line exits with 1."""

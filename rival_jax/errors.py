"""The one exception that means: what the user gave cannot be used."""


class InputError(ValueError):
    """Unusable input, told in one sentence that names the offending thing and what is accepted.

    Raised before any model work; the command line prints it to stderr and exits with 2.
    """

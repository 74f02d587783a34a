"""What the user gave cannot be used, a job cannot go on, memory does not suffice: how that is told."""

__all__ = ["InputError", "JobError"]


class InputError(ValueError):
    """Unusable input, told in one sentence that names the offending thing and what is accepted.

    Raised before any model work; the command line prints it to stderr and exits with 2.
    """


class JobError(RuntimeError):
    """A job cannot go on, told in one sentence; what it has finished is kept. The command line exits with 1."""


TOO_LITTLE_MEMORY = (
    "Too little memory on the device: fewer photos or variations at once, smaller ones, or bfloat16 need less."
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the host or a device had too little memory."""
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error)

"""One exception for all that a user of the sandbox can put right, so that the command prints it plainly."""


class SandboxError(Exception):
    """Something a user can act on; its text names what failed, its value and the fix."""

"""hostfiles - where files that the user named are, as seen from build/root."""

import os


def here(path):
    """Path in build/root of a file that is named as on the host (see scripts/in-root)."""
    path = os.path.normpath(os.path.join(os.environ["HOST_DIR"], path))
    top = os.environ["HOST_TOP"]
    if path.startswith(top + "/"):
        return "/src" + path.removeprefix(top)
    return "/host" + path

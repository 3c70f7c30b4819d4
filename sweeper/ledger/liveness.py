"""Test within seconds whether a tracking server answers: MLflow's own calls wait a quarter of a minute each."""

from __future__ import annotations

import ssl
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from sweeper.errors import UnavailableError

ANSWER_S = 8.0


def ensure_answers(uri: str, wait_s: float = ANSWER_S) -> None:
    """Raise UnavailableError unless a server answers within `wait_s` seconds, with whatever response.

    Databases are not tested here: opening one shows whether it answers.
    """
    if not uri.startswith(("http://", "https://")):
        return
    try:
        # Nothing is sent or trusted here, so checking the certificate is left to MLflow.
        with urlopen(_health(uri), timeout=wait_s, context=ssl._create_unverified_context()):
            return
    except HTTPError:
        return
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"the tracking server {uri} does not answer: {getattr(error, 'reason', error)}",
            "start it, or correct --tracking; what is trained meanwhile is kept here, and the same command delivers it",
        ) from error


def without_login(uri: str) -> str:
    """Return a server's address without user and password."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def _health(uri: str) -> str:
    # Python 3.11's urlopen takes a login in a URL for a part of the host's name; MLflow sends it, as it should.
    return f"{without_login(uri)}/health"

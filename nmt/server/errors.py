"""The failures that a client is told of, by their HTTP status."""

from http import HTTPStatus

CLIENT_GONE = 499  # the status in logs, as other servers count it, of a request whose client has gone before the answer


class ApiError(Exception):
    """A request that is not answered with a translation: its status and one sentence."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


def bad_request(message: str) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, message)


def busy(seconds: int) -> ApiError:
    """Return the error of a server that takes no more, but will in about `seconds`."""
    return ApiError(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"too many requests are in progress: try again in {seconds} s",
        {"Retry-After": str(seconds)},
    )

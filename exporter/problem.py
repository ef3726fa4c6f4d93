"""What went wrong, told to people and programs alike: what, where, and what to do about it."""

from __future__ import annotations

from typing import Final, Literal

from typing_extensions import TypedDict

Code = Literal[
    "bad_request",
    "unauthorized",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "too_large",
    "too_many_requests",
    "unavailable",
    "internal",
]

STATUS: Final[dict[Code, int]] = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "too_large": 413,
    "too_many_requests": 429,
    "unavailable": 503,
    "internal": 500,
}
_CODE: Final[dict[int, Code]] = {status: code for code, status in STATUS.items()}


class ErrorBody(TypedDict):
    """The inside of `{"error": …}`: all four are always there; `where` and `todo` may be empty."""

    code: Code
    message: str
    where: str
    todo: str


class Problem(Exception):  # noqa: N818 - an answer, not a fault
    """An answer that is not what was asked for. Texts hold no personal value and no secret."""

    def __init__(self, code: Code, message: str, *, where: str = "", todo: str = "", retry_after: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.where = where
        self.todo = todo
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        return STATUS[self.code]

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after else {}
        if self.code == "unauthorized":
            headers["WWW-Authenticate"] = "Bearer"
        return headers

    def body(self) -> dict[str, ErrorBody]:
        return {"error": {"code": self.code, "message": self.message, "where": self.where, "todo": self.todo}}


def of_status(status: int) -> Problem:
    """The problem of an answer the router gave by itself."""
    code = _CODE.get(status, "bad_request")
    messages: dict[Code, tuple[str, str]] = {
        "not_found": ("There is nothing at this address.", "/openapi.json tells programs what there is."),
        "method_not_allowed": ("This address does not take that method.", "/openapi.json tells what it takes."),
    }
    message, todo = messages.get(code, ("The request cannot be answered.", ""))
    return Problem(code, message, todo=todo)

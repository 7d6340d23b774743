"""The form of answers: errors and events as in OpenAI's interface."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

LEFT = 499  # as nginx counts clients that did not wait for their answer
LONGEST = 600  # seconds; largest Retry-After


class Refusal(HTTPException):
    """A request that is not served.

    Args:
        status: status of the answer.
        message: what was expected, what came, what to do.
        param: the faulty field.
        code: a word for programs, such as ``model_not_found``.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.param, self.code = param, code

    def answer(self) -> Response:
        """The answer to the client."""
        return error_answer(
            str(self.detail), self.status_code, dict(self.headers or {}), self.param, self.code
        )


def busy(message: str, wait: float) -> Refusal:
    """503 with the seconds of ``wait`` as ``Retry-After``."""
    seconds = min(LONGEST, max(1, math.ceil(wait)))
    return Refusal(
        503, f"{message}; come again in {seconds} s", headers={"Retry-After": str(seconds)}
    )


def too_many(message: str, wait: float) -> Refusal:
    """429, for a client that has its share, with the seconds of ``wait`` as ``Retry-After``."""
    refused = busy(message, wait)
    return Refusal(429, str(refused.detail), None, "rate_limit_exceeded", refused.headers)


def error_answer(
    message: str,
    status: int,
    headers: Mapping[str, str] | None = None,
    param: str | None = None,
    code: str | None = None,
) -> JSONResponse:
    """An error, in the form of OpenAI's interface."""
    return JSONResponse(error_of(message, status, param, code), status, headers)


def error_of(
    message: str, status: int, param: str | None = None, code: str | None = None
) -> dict[str, object]:
    """The body of an error."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    if status == 429:
        kind = "rate_limit_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def events(text: str, headers: Mapping[str, str]) -> Response:
    """The transcript as server-sent events: one delta with the whole text, then the end."""
    sent = [
        {"type": "transcript.text.delta", "delta": text},
        {"type": "transcript.text.done", "text": text},
    ]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in sent)
    headers = {"Cache-Control": "no-cache", **headers}
    return Response(body, media_type="text/event-stream", headers=headers)

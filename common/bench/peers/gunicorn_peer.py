"""A WSGI application that gives the answers of exercise 1. TEMPLATE is the answer to copy."""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

TEMPLATE = json.loads(os.environ["TEMPLATE"])


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = json.dumps({**TEMPLATE, "pid": os.getpid()}, separators=(",", ":")).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]

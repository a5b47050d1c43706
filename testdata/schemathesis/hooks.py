"""A key of its own for each request that has a valid idempotency key.

A key that comes again with another body is refused, as the description says,
but a schema cannot say that a text has to be new.
"""

import uuid

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    key = (case.headers or {}).get("Idempotency-Key")
    if key and len(key) <= 255 and key.isascii() and key.isprintable() and key == key.strip():
        case.headers["Idempotency-Key"] = str(uuid.uuid4())

"""What a description asks for and a schema cannot say.

Each request that has a valid idempotency key gets one of its own: a key that
comes again with another body is refused. And a cursor of users is one that a
page may have named: another one is refused.
"""

import re
import uuid

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    key = (case.headers or {}).get("Idempotency-Key")
    if key and len(key) <= 255 and key.isascii() and key.isprintable() and key == key.strip():
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    cursor = (case.query or {}).get("cursor")
    if case.operation.path == "/presence/users" and isinstance(cursor, str) and re.fullmatch("([0-9a-f]{2})+", cursor):
        case.query["cursor"] = b"0.".hex()

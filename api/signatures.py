"""Whether a webhook's request comes from whoever knows the secret, in the three ways in which code hosts prove it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import time
from collections.abc import Mapping
from hmac import compare_digest
from hmac import digest as hmac_digest
from typing import Final

from shared.errors import Unauthorized

#: For how long a signed request counts, and how far two clocks may differ, in seconds; as Standard Webhooks has it.
TOLERANCE_SECONDS: Final = 300
#: Marks a secret that holds its key in base64: the kind that GitLab calls a signing token.
_KEY_MARK: Final = "whsec_"
#: In the order of preference: a signature covers the body, a token does not.
PROOFS: Final = ("x-hub-signature-256", "webhook-signature", "x-gitlab-token")


def require_proof(headers: Mapping[str, str]) -> None:
    """Raise Unauthorized for a request that does not even try, before its body is read."""
    if not any(headers.get(name) for name in PROOFS):
        raise Unauthorized(
            "the webhook is not signed: give the code host the secret that WEBHOOK_SECRET holds (at GitHub the field "
            "Secret, at GitLab the signing token or the secret token)"
        )


def require_signature(headers: Mapping[str, str], body: bytes, secret: str, *, now: float | None = None) -> None:
    """Raise Unauthorized unless the request was made by somebody who knows the secret. Compares in constant time."""
    require_proof(headers)
    if signed := headers.get(PROOFS[0]):
        is_right = _same(signed, f"sha256={hmac_digest(secret.encode(), body, 'sha256').hex()}")
    elif signed := headers.get(PROOFS[1]):
        is_right = _is_standard(headers, signed, body, secret, time.time() if now is None else now)
    else:
        is_right = _same(headers[PROOFS[2]], secret)
    if not is_right:
        raise Unauthorized("the webhook's signature is not right: its secret has to be the one in WEBHOOK_SECRET")


def _is_standard(headers: Mapping[str, str], signed: str, body: bytes, secret: str, now: float) -> bool:
    """A signature of the Standard Webhooks specification: over id, time and body; several of them while keys change."""
    sent_id, sent_at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (sent_at.isascii() and sent_at.isdecimal()) or abs(int(sent_at[:15]) - now) > TOLERANCE_SECONDS:
        raise Unauthorized(
            f"the webhook's time is not within {TOLERANCE_SECONDS} seconds of this server's; compare the clocks"
        )
    content = f"{sent_id}.{sent_at}.".encode("utf-8", "surrogateescape") + body
    right = "v1," + base64.b64encode(hmac_digest(_key(secret), content, "sha256")).decode()
    return any(_same(one, right) for one in signed.split(" "))


def _key(secret: str) -> bytes:
    if secret.startswith(_KEY_MARK):
        try:
            return base64.b64decode(secret.removeprefix(_KEY_MARK), validate=True)
        except binascii.Error:
            pass  # a secret that happens to begin like that
    return secret.encode()


def _same(given: str, right: str) -> bool:
    """As hashes: of equal length, and free of the characters that the comparison refuses."""
    return compare_digest(_hash(given), _hash(right))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()

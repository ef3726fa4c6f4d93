"""Headers that keep an answer from being used against whoever sees it: what every listener sends. Pure."""

from __future__ import annotations

from typing import Final

# Of every page and every answer a browser may be led to. `x-frame-options` is for browsers older than frame-ancestors.
FOR_PAGES: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
# Of answers that are no pages: whatever is in them, nothing of it is to run.
FOR_DATA: Final = {
    **FOR_PAGES,
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}

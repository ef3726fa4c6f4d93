"""What a page needs to load the tracker: the line, the stub for early calls, and what a Content-Security-Policy must
allow. Pure."""

from __future__ import annotations

import base64
import hashlib
import html
from typing import Final

# Calls made before the script has loaded wait in `trackway.q`.
STUB: Final = "trackway=window.trackway||function(){(trackway.q=trackway.q||[]).push(arguments)}"
STUB_HASH: Final = "sha256-" + base64.b64encode(hashlib.sha256(STUB.encode()).digest()).decode()
STUB_LINE: Final = f"<script>{STUB}</script>"


def script_line(address: str, key: str, integrity: str = "", *, foreign: bool = False) -> str:
    """The line for the page's head. `address`: the script's path or URL; `foreign`: it is on a host that is not the
    page's, so that a browser checks `integrity` only with `crossorigin`."""
    attributes = [f'src="{html.escape(address)}"', f'data-key="{html.escape(key)}"']
    if integrity:
        attributes.append(f'integrity="{html.escape(integrity)}"')
        attributes += ['crossorigin="anonymous"'] * foreign
    return f"<script {' '.join(attributes)} async></script>"


def csp_line(host: str = "", *, stub: bool = False) -> str:
    """What a policy has to allow; `host` is the collector's URL, empty for the page's own."""
    allowed = host or "'self'"
    inline = f" '{STUB_HASH}'" if stub else ""
    return f"script-src {allowed}{inline}; connect-src {allowed}"

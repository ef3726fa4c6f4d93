"""What a page's head holds for a vendor's browser SDK, and scripts bundled of its packages as a site bundles them."""

from __future__ import annotations

import json
import subprocess

from tests.sdks.running import HERE

_ESBUILD = HERE / "node/snowplow/node_modules/.bin/esbuild"


def bundle(folder: str, code: str = "", more: tuple[str, ...] = (), name: str = "docs.js") -> str:
    """The path at which the pages serve `code`, or the folder's `web.js`, with the packages it imports.

    `more`: of esbuild's options. `name`: the file's, where a folder has several."""
    home = HERE / "node" / folder
    made = home / "node_modules/.bundle" / (name if code else "web.js")
    command = [str(_ESBUILD), "--bundle", "--log-level=error", f"--outfile={made}", *more]
    command += ["--loader=js"] if code else ["web.js", "--format=iife", "--global-name=snowplow"]
    subprocess.run(command, cwd=home, input=code, text=True, check=True, timeout=60)
    return f"/sdk/{folder}/{made.relative_to(home)}"


def snowplow(url: str, script: str, method: str = "post") -> str:
    """Snowplow's tracker from the bundle at the path `script`; `window.sent` and `window.failed` are what it says of
    its requests."""
    return f"""
        <script src="{script}"></script>
        <script>
          window.sent = 0; window.failed = [];
          snowplow.newTracker('shop', '{url}', {{
            appId: 'wk_shop', eventMethod: '{method}', contexts: {{webPage: true, session: true}},
            plugins: snowplow.shop ? [snowplow.shop.SnowplowEcommercePlugin()] : [],
            onRequestSuccess: (batch) => {{ window.sent += batch.length; }},
            onRequestFailure: (failure) => {{ if (!failure.willRetry) window.failed.push(failure.message); }},
          }});
        </script>"""


def segment(url: str, folder: str = "segment", strategy: str = "standard") -> str:
    """Segment's analytics-next as `window.analytics`, whose settings come from the collector too."""
    server = {"apiHost": url.partition("//")[2] + "/v1", "protocol": "http"}
    if strategy == "batching":
        server["deliveryStrategy"] = {"strategy": "batching", "config": {"size": 50, "timeout": 200}}  # type: ignore[assignment]
    return f"""
    <script src="/sdk/{folder}/node_modules/@segment/analytics-next/dist/umd/index.js"></script>
    <script>
      const options = {{integrations: {{'Segment.io': {json.dumps(server)}}}}};
      window.analytics = AnalyticsNext.AnalyticsBrowser.load({{writeKey: 'wk_shop', cdnURL: '{url}'}}, options);
    </script>"""


def plausible_options(url: str) -> str:
    """What `init` of Plausible's tracker is given."""
    return f"{{ domain: 'shop.example', endpoint: '{url}/api/event', captureOnLocalhost: true }}"

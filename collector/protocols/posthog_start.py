"""What PostHog's SDKs ask before they send, and what they are told: that there are no flags, no surveys, no recordings,
and that gzip is understood. Without an answer the browser's sends on, though uncompressed and preflighted. Pure."""

from __future__ import annotations

from typing import Any, Final

import orjson

from collector.request import Request
from collector.route import Reply, Route

# Whatever is not named here is off, or as the page's own settings have it. `surveys` is left out: the browser's SDK
# fetches their script even when told that there are none.
_CONFIG: Final[dict[str, Any]] = {
    "supportedCompression": ["gzip", "gzip-js"],
    "hasFeatureFlags": True,
    "analytics": {"endpoint": "/e/"},
    "elementsChainAsString": True,
    "autocapture_opt_out": False,
    "autocaptureExceptions": False,
    "captureDeadClicks": False,
    "capturePerformance": False,
    "defaultIdentifiedOnly": True,
    "errorTracking": {"autocaptureExceptions": False, "suppressionRules": []},
    "heatmaps": False,
    "isAuthenticated": False,
    "productTours": False,
    "sessionRecording": False,
    "siteApps": [],
    "toolbarParams": {},
}
_NO_FLAGS: Final[dict[str, Any]] = {
    "flags": {},
    "featureFlags": {},
    "featureFlagPayloads": {},
    "errorsWhileComputingFlags": False,
}
# Older SDKs take their settings from the same answer; `config` is what they had before.
_FLAGS: Final = Reply(orjson.dumps(_CONFIG | _NO_FLAGS | {"config": {"enable_collect_everything": True}}))
_FOR_SCRIPTS: Final = (
    (b"cache-control", b"public, max-age=300"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)


def _flags(request: Request) -> Reply:
    return _FLAGS


def _key_in(request: Request) -> str:
    return request.path.split("/")[2]


def _config(request: Request) -> Reply:
    return Reply(orjson.dumps({"token": _key_in(request), **_CONFIG}), headers=_FOR_SCRIPTS[:1])


def _config_script(request: Request) -> Reply:
    """The same as a script, which leaves it where the SDK looks for it."""
    key = _key_in(request)
    told = orjson.dumps({key: {"config": {"token": key, **_CONFIG}, "siteApps": []}})
    script = b"window._POSTHOG_REMOTE_CONFIG=Object.assign(window._POSTHOG_REMOTE_CONFIG||{}," + told + b");"
    return Reply(script, content_type=b"text/javascript; charset=utf-8", headers=_FOR_SCRIPTS)


def _none(name: str) -> Any:
    reply = Reply(orjson.dumps({name: []}))
    return lambda request: reply


START_UP: Final = (
    Route("/flags", ("POST", "GET"), _flags, "PostHog's feature flags: none, and the SDK's settings"),
    Route("/decide", ("POST", "GET"), _flags, "the same for older SDKs of PostHog"),
    Route("/array/{key}/config", ("GET",), _config, "PostHog's settings for its browser SDK"),
    Route("/array/{key}/config.js", ("GET",), _config_script, "the same as a script"),
    Route("/api/surveys", ("GET",), _none("surveys"), "PostHog's surveys: none"),
    Route("/api/early_access_features", ("GET",), _none("earlyAccessFeatures"), "PostHog's early access: none"),
    Route("/api/product_tours", ("GET",), _none("product_tours"), "PostHog's product tours: none"),
    Route("/api/web_experiments", ("GET",), _none("experiments"), "PostHog's web experiments: none"),
)

"""The ES module's entry: a page whose own bundle has the tracker in it, by its name on npm."""

from __future__ import annotations

import base64
import json
import re

from playwright.sync_api import BrowserContext

from tests.tracker.recorder import DIST, Recorder

TYPES = DIST.parent / "types/tracker.d.ts"
_MODULE = """<!doctype html><title>Page</title>
<script type="importmap">{imports}</script>
<script type="module">
  import {{ start }} from 'trackway-tracker';
  const trackway = start({{ key: 'wk_shop', endpoint: '/tw/e', consent: 'granted', name: 'tracking' }});
  trackway.track('Read', {{ n: 1 }}).then((receipt) => {{ window.receipt = receipt; }});
  window.same = trackway === window.tracking;
</script>"""


def test_a_module_starts_the_tracker_by_its_settings(context: BrowserContext, recorder: Recorder) -> None:
    module = base64.b64encode((DIST / "tracker.mjs").read_bytes()).decode()
    imports = json.dumps({"imports": {"trackway-tracker": f"data:text/javascript;base64,{module}"}})
    recorder.pages["/module"] = _MODULE.format(imports=imports)
    page = context.new_page()
    page.goto(recorder.url + "/module")
    recorder.wait(lambda: {"page", "Read"} <= set(recorder.names))
    assert recorder.tries[0].sent["writeKey"] == "wk_shop"
    assert recorder.named("Read")[0]["properties"] == {"n": 1}
    page.wait_for_function("window.receipt")
    assert page.evaluate("[receipt.status, same, tracking.version, 'trackway' in window]") == [
        "accepted", True, json.loads((DIST / "manifest.json").read_text())["version"], False,
    ]  # fmt: skip


def test_the_types_name_what_is_there(context: BrowserContext, recorder: Recorder) -> None:
    recorder.attributes = 'data-consent="granted"'
    page = context.new_page()
    page.goto(recorder.url)
    page.wait_for_function("window.trackway && trackway.version")
    assert members("Commands") | {"version", "settings"} == set(page.evaluate("Object.keys(trackway)"))
    assert members("State") == set(page.evaluate("trackway.status().then(Object.keys)"))
    assert members("View") == set(page.evaluate("trackway.status().then(({view}) => Object.keys(view))"))


def members(interface: str) -> set[str]:
    """What the types say an interface has."""
    (body,) = re.findall(rf"^export interface {interface} {{\n(.*?)^}}", TYPES.read_text(), re.DOTALL | re.MULTILINE)
    return set(re.findall(r"^  (\w+)\??[:(<]", body, re.MULTILINE))

"""The API: who may ask, what is answered, how it says no."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.routing import Route

from eventlog.outcome import OUTCOME
from eventlog.profile import PROFILE, SESSION
from eventlog.timestamps import format_ms, now_ms
from exporter.openapi import OPERATIONS, document
from exporter.problem import STATUS, Problem
from tests.console.seeds import event
from tests.console.site import Site


def answer(site: Site, path: str) -> Any:
    got = site.back_end().get(path)
    assert got.status_code == 200, got.text
    return got.json()


def buyer(site: Site) -> dict[str, Any]:
    found = site.back_end().post("/api/v1/profiles/lookup", json={"kind": "user", "value": "customer-4711"})
    assert found.status_code == 200, found.text
    profile: dict[str, Any] = found.json()
    return profile


def test_a_profile_is_found_by_each_of_its_identifiers(site: Site) -> None:
    profile = buyer(site)
    PROFILE.validate_python(profile)
    assert profile["money"]["EUR"]["orders"] == 1
    by_visitor = {"kind": "anon", "value": "visitor-0-0f4a2f9d2a10"}
    assert site.back_end().post("/api/v1/profiles/lookup", json=by_visitor).json()["id"] == profile["id"]
    assert answer(site, f"/api/v1/profiles/{profile['id']}") == profile


def test_a_profiles_sessions_and_events(site: Site) -> None:
    profile = buyer(site)
    sessions = answer(site, f"/api/v1/profiles/{profile['id']}/sessions")["sessions"]
    assert sessions
    for session in sessions:
        SESSION.validate_python(session)
    events = answer(site, f"/api/v1/profiles/{profile['id']}/events?limit=3")
    assert (len(events["events"]), events["limit"]) == (3, 3)


def test_recent_profiles_are_bounded(site: Site) -> None:
    assert len(answer(site, "/api/v1/profiles?limit=2")["profiles"]) == 2


def test_what_happened_to_an_event(site: Site) -> None:
    (trace,) = answer(site, "/api/v1/events/the-order")["traces"]
    assert trace["status"] == "accepted"
    assert isinstance(trace["partition"], int)
    assert isinstance(trace["offset"], int)
    assert answer(site, "/api/v1/events/bot-1")["traces"][0]["reason"] == "bot"


def test_the_ledger_counts_by_minute_source_and_status(site: Site) -> None:
    lines = answer(site, "/api/v1/ledger?source=shop")["lines"]
    statuses = {line["status"] for line in lines}
    assert {"accepted", "rejected", "filtered", "duplicate"} <= statuses
    assert sum(line["count"] for line in lines if line["status"] == "filtered") == 1
    assert answer(site, "/api/v1/ledger?source=elsewhere")["lines"] == []


def test_what_page_loads_made_and_what_arrived(site: Site) -> None:
    at = now_ms() - 60_000
    loads = {
        "source": "blog",
        "protocol": "trackway",
        "page": {"view_id": "p1.1"},
        "anonymous_id": "visitor-0-0f4a2f9d2a10",
    }
    site.add(*(event(at, **loads, client={"browser": "Edge", "seq": seq}) for seq in (1, 2, 5)))
    site.fold()
    told = {"source": "blog", "browser": "Edge", "made": 5, "arrived": 3, "lost": 2}
    assert answer(site, "/api/v1/ledger/browsers")["lines"] == [told]
    assert answer(site, "/api/v1/ledger/browsers?source=shop")["lines"] == []
    assert answer(site, f"/api/v1/ledger/browsers?to={format_ms(at)}")["lines"] == []


def test_what_did_not_become_an_event_by_cause_and_in_full(site: Site) -> None:
    told = answer(site, "/api/v1/rejected")
    assert told["complete"] is True
    records = answer(site, "/api/v1/rejected/records")["records"]
    assert sum(cause["count"] for cause in told["causes"]) == len(records) > 0
    assert {record["cause"] for record in records} == {cause["cause"] for cause in told["causes"]}
    for record in records:
        OUTCOME.validate_python(record["outcome"])
    cause = told["causes"][0]
    assert answer(site, f"/api/v1/rejected?cause={cause['cause']}")["causes"] == [cause]
    filtered = answer(site, "/api/v1/rejected?status=filtered&source=shop")["causes"]
    assert [(one["reason"], one["kept"]) for one in filtered] == [("bot", 0)]
    # A place behind the end, or before the beginning, is the end, or the beginning.
    assert answer(site, "/api/v1/rejected/records?after=0:999999,1:999999,2:999999") == {
        "records": [], "limit": 100, "next": "",
    }  # fmt: skip


def test_exports_and_their_runs_without_the_streams_secret(site: Site) -> None:
    (workflow,) = answer(site, "/api/v1/workflows")["workflows"]
    assert (workflow["name"], workflow["from"]["kind"], workflow["every"]) == ("people", "profiles", "*/30 * * * *")
    assert "stream-of-people" not in str(workflow)
    runs = answer(site, "/api/v1/runs?workflow=people")["runs"]
    assert [run["state"] for run in runs[-2:]] == ["failed", "succeeded"]
    run = answer(site, f"/api/v1/runs/{runs[-2]['id']}")
    assert (run["refused"], len(run["batches"])) == (1, 1)
    assert answer(site, "/api/v1/runs?workflow=none")["runs"] == []


@pytest.mark.parametrize(
    ("path", "status", "code", "where"),
    [
        ("/api/v1/profiles/none", 404, "not_found", "path.id"),
        ("/api/v1/profiles/none/events", 404, "not_found", "path.id"),
        ("/api/v1/profiles/none/sessions", 404, "not_found", "path.id"),
        ("/api/v1/profiles/none/consents", 404, "not_found", "path.id"),
        ("/api/v1/events/none", 404, "not_found", "path.id"),
        ("/api/v1/events/" + "x" * 300, 404, "not_found", "path.id"),
        ("/api/v1/profiles/%00", 404, "not_found", "path.id"),
        ("/api/v1/runs/none", 404, "not_found", "path.id"),
        ("/api/v1/profiles?limit=0", 400, "bad_request", "query.limit"),
        ("/api/v1/profiles?limit=201", 400, "bad_request", "query.limit"),
        ("/api/v1/profiles?limit=" + "9" * 5000, 400, "bad_request", "query.limit"),
        ("/api/v1/profiles?limit=%D9%A3", 400, "bad_request", "query.limit"),
        ("/api/v1/runs?limit=x", 400, "bad_request", "query.limit"),
        ("/api/v1/ledger?from=yesterday", 400, "bad_request", "query.from"),
        ("/api/v1/ledger?from=2026-01-01T00:00:00Z", 400, "bad_request", "query.from"),
        ("/api/v1/ledger/browsers?to=now", 400, "bad_request", "query.to"),
        ("/api/v1/ledger/browsers?from=2026-01-01T00:00:00Z", 400, "bad_request", "query.from"),
        ("/api/v1/rejected?status=refused", 400, "bad_request", "query.status"),
        ("/api/v1/rejected?from=yesterday", 400, "bad_request", "query.from"),
        ("/api/v1/rejected/records?after=1", 400, "bad_request", "query.after"),
        ("/api/v1/rejected/records?limit=501", 400, "bad_request", "query.limit"),
        ("/api/v1/nothing", 404, "not_found", ""),
    ],
)
def test_one_shape_of_error_says_what_where_and_what_to_do(
    site: Site, path: str, status: int, code: str, where: str
) -> None:
    got = site.back_end().get(path)
    assert got.status_code == status
    assert set(got.json()) == {"error"}
    error = got.json()["error"]
    assert set(error) == {"code", "message", "where", "todo"}
    assert all(isinstance(text, str) for text in error.values())
    assert (error["code"], error["where"]) == (code, where)
    assert error["message"]


def test_a_wrong_method_has_the_same_shape(site: Site) -> None:
    got = site.back_end().delete("/api/v1/profiles")
    assert (got.status_code, got.json()["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "body"),
        (b"[]", "body"),
        (b'{"kind": "phone", "value": "1"}', "kind"),
        (b'{"kind": "user"}', "value"),
        (b'{"kind": "user", "value": ""}', "value"),
        (b'{"kind": "user", "value": 4711}', "value"),
        (b'{"kind": "user", "value": "a\\u0000"}', "value"),
    ],
)
def test_a_lookup_says_which_part_is_wrong(site: Site, body: bytes, where: str) -> None:
    got = site.back_end().post("/api/v1/profiles/lookup", content=body)
    assert (got.status_code, got.json()["error"]["where"]) == (400, where)


def test_a_lookup_that_finds_nobody_does_not_repeat_the_identifier(site: Site) -> None:
    got = site.back_end().post("/api/v1/profiles/lookup", json={"kind": "email", "value": "nobody@mail.example"})
    assert got.status_code == 404
    assert "nobody" not in got.text


def test_a_large_body_is_not_read_to_its_end(site: Site) -> None:
    got = site.back_end().post("/api/v1/profiles/lookup", content=b"x" * 100_000)
    assert (got.status_code, got.json()["error"]["code"]) == (413, "too_large")


def test_every_status_has_one_code() -> None:
    assert len(set(STATUS.values())) == len(STATUS)
    for code in STATUS:
        assert Problem(code, "text").body()["error"]["code"] == code


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if operation.path.startswith("/api/")])
def test_only_the_token_opens_the_api(site: Site, operation: Any) -> None:
    path = operation.path.replace("{id}", "none")
    for client in (site.client(), site.visitor(), site.client(headers={"Authorization": f"Basic {site.token}"})):
        got = client.request(operation.method, path)
        assert got.status_code == 401, "the cookie opens nothing here"
        assert got.json()["error"]["code"] == "unauthorized"
        assert got.headers["www-authenticate"] == "Bearer"
    assert site.back_end().request(operation.method, path).status_code != 401


def test_the_openapi_document_is_true_to_the_routes(site: Site) -> None:
    served = {
        (route.path, method)
        for route in site.app().routes
        if isinstance(route, Route) and route.path != "/" and not route.path.startswith("/console")
        for method in (route.methods or ())
        if method != "HEAD"
    }
    published = answer(site, "/openapi.json")
    described = {(path, method.upper()) for path, operations in published["paths"].items() for method in operations}
    assert described == served
    assert published == document(published["info"]["version"])


def test_the_openapi_document_refers_only_to_what_it_holds() -> None:
    made = document("1")
    schemas = made["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/(\w+)", str(made)):
        assert name in schemas
    for operations in made["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert "200" in operation["responses"]


def test_the_platforms_paths_need_no_credentials(site: Site) -> None:
    client = site.client()
    assert client.get(site.admin_address + "/health").json() == {"status": "up"}
    assert client.get(site.admin_address + "/ready").json()["reason"] == "ready"
    assert "trackway_build_info{" in client.get("/metrics").text


def test_beside_the_collector_each_path_is_answered_by_its_owner(site: Site) -> None:
    client = site.client()
    assert client.get("/").headers["location"] == "/console"
    assert client.get("/schema/event.json").json()["title"] == "Event"
    assert client.get("/ready").json()["reason"] == "ready"
    assert client.post("/v1/track", json={"event": "x"}).json()["code"] == "unknown_key"


@pytest.mark.parametrize("path", ["/", "/api/v1/profiles", "/console/login", "/console/nothing", "/metrics", "/none"])
def test_every_answer_has_the_security_headers_and_no_cors(site: Site, path: str) -> None:
    got = site.client(headers={"Origin": "https://evil.example"}).get(site.admin_address + path)
    assert "default-src 'none'" in got.headers["content-security-policy"]
    assert got.headers["referrer-policy"] == "no-referrer"
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["cross-origin-opener-policy"] == "same-origin"
    assert got.headers["cache-control"] == "no-store"
    assert not [name for name in got.headers if name.startswith("access-control-")]


def test_the_ledgers_default_is_the_last_hour(site: Site) -> None:
    got = answer(site, "/api/v1/ledger")
    assert got["from"] < format_ms(now_ms() - 3_500_000)

"""Runs of user, content and product workflows, on both stores: what reaches the CDP and what the ledger says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from exporter.ledger import list_runs
from exporter.settings import ExporterSettings
from tests.exports.exporting import DENIED, Site, balanced, ndjson, on_site
from tests.rules.events import event

USERS: Final[dict[str, Any]] = {"kind": "user", "from": "profiles"}


def test_users_with_consent_are_exported_with_their_traits(settings_of_store: ExporterSettings) -> None:
    async def scenario(site: Site) -> None:
        await site.user("u1", email="Ann@Shop.example", first_name="Ann", last_name="Lee", vip=True, n=3, tags=["a"])
        await site.user("u2", consent=DENIED, name="Bo")
        await site.user("u3", consent={"analytics": True}, name="Cy")
        await site.happen(event(0, anon="stranger", consent={"analytics": True, "third_party_sharing": True}))
        run = await site.export()
        (row,) = await site.rows()
        assert list(row)[:4] == ["id", "login", "email", "name"]
        assert row == (
            {
                "id": "u1", "login": "u1", "email": "ann@shop.example", "name": "Ann Lee",
                "first_name": "Ann", "last_name": "Lee", "vip": "true", "n": "3",
            }
        )  # fmt: skip
        assert (run["state"], run["scope"]) == ("succeeded", "full")
        assert (run["read"], run["accepted"], run["suppressed"]) == (3, 1, 2)
        assert balanced(run)
        assert "1 of 1 rows accepted, 2 withheld" in run["outcome"]

    on_site(settings_of_store, scenario, **USERS)


def test_implied_consent_withholds_only_who_objects(embedded_settings: ExporterSettings) -> None:
    async def scenario(site: Site) -> None:
        await site.user("u1", consent={"analytics": True})
        await site.user("u2", consent=DENIED)
        run = await site.export()
        assert [row["id"] for row in await site.rows()] == ["u1"]
        assert (run["accepted"], run["suppressed"]) == (1, 1)

    on_site(embedded_settings, scenario, **USERS, consent="implied")


def test_what_is_unchanged_is_not_sent_again_but_by_a_full_run(settings_of_store: ExporterSettings) -> None:
    async def scenario(site: Site) -> None:
        await site.user("u1", plan="free")
        await site.user("u2", plan="free")
        await site.export()
        await site.happen(event(60_000, "visit", anon="of-u1"))
        await site.user("u2", at=60_000, plan="paid")
        second = await site.export()
        assert (second["scope"], second["unchanged"], second["accepted"]) == ("incremental", 1, 1)
        assert [(row["id"], row["plan"]) for row in await site.rows()] == [
            ("u1", "free"),
            ("u2", "free"),
            ("u2", "paid"),
        ]
        third = await site.export()
        assert (third["sent"], third["unchanged"]) == (0, 2)
        assert third["outcome"] == "succeeded: nothing sent, 2 unchanged"
        full = await site.export(full=True)
        assert (full["scope"], full["accepted"]) == ("full", 2)

    on_site(settings_of_store, scenario, **USERS)


def test_what_changed_before_the_last_run_is_not_even_read(embedded_settings: ExporterSettings) -> None:
    async def scenario(site: Site) -> None:
        await site.user("u1")
        await site.export()
        await site.query("UPDATE profile SET changed_at = changed_at - 3600000")
        assert (await site.export())["read"] == 0

    on_site(embedded_settings, scenario, **USERS, overlap=60)


def test_a_trait_that_goes_is_deleted_at_the_cdp(embedded_settings: ExporterSettings) -> None:
    async def scenario(site: Site) -> None:
        await site.user("u1", plan="paid", city="Oslo")
        await site.export()
        await site.user("u1", at=60_000, plan=None)
        await site.user("u2", at=60_000)
        await site.export()
        rows = {row["id"]: row for row in (await site.rows())[1:]}
        assert (rows["u1"]["plan"], rows["u1"]["city"]) == (None, "Oslo")
        # Every row names every column the stream has.
        assert (rows["u2"]["plan"], rows["u2"]["city"]) == (None, None)

    on_site(embedded_settings, scenario, **USERS)


def test_who_withdraws_is_emptied_once_and_may_come_back(settings_of_store: ExporterSettings) -> None:
    async def scenario(site: Site) -> None:
        await site.user("u1", email="a@shop.example", city="Oslo")
        await site.export()
        await site.happen(event(60_000, "consent", anon="of-u1", consent=DENIED))
        emptied = await site.export()
        assert (emptied["accepted"], emptied["suppressed"]) == (1, 0)
        row = (await site.rows())[-1]
        assert {name for name, value in row.items() if value is not None} == {"id"}
        assert set(row) == {"id", "login", "email", "city"}
        assert (await site.export())["suppressed"] == 1
        await site.happen(event(120_000, "consent", anon="of-u1", consent={"third_party_sharing": True}))
        await site.export()
        assert [one["city"] for one in await site.rows()] == ["Oslo", None, "Oslo"]

    on_site(settings_of_store, scenario, **USERS)


def test_who_withdraws_may_also_just_be_left_alone(embedded_settings: ExporterSettings) -> None:
    async def scenario(site: Site) -> None:
        await site.user("u1", city="Oslo")
        await site.export()
        await site.happen(event(60_000, "consent", anon="of-u1", consent=DENIED))
        assert (await site.export())["suppressed"] == 1
        assert len(await site.rows()) == 1

    on_site(embedded_settings, scenario, **USERS, on_withdrawal="stop")


def test_a_profile_that_is_no_more_is_emptied_once(settings_of_store: ExporterSettings) -> None:
    async def scenario(site: Site) -> None:
        await site.user("u1", city="Oslo")
        await site.export()
        await site.query("UPDATE profile SET body = NULL")
        assert (await site.export())["accepted"] == 1
        assert (await site.rows())[-1] == {"id": "u1", "login": None, "city": None}
        assert (await site.export())["suppressed"] == 1

    on_site(settings_of_store, scenario, **USERS)


def test_content_goes_through_the_processors(embedded_settings: ExporterSettings, tmp_path: Path) -> None:
    def field(name: str, kind: str, value: Any) -> dict[str, Any]:
        return {"identifier": name, "id": 9, "type": kind, "language_code": "eng-GB", "value": value}

    fields = [field("title", "ibexa_string", "Shoes"), field("image", "ibexa_image", 1), field("map", "gmap", {"x": 1})]
    source = ndjson(tmp_path, {"id": 52, "content_type": "article", "published": True, "fields": fields})

    async def scenario(site: Site) -> None:
        run = await site.export()
        assert (run["state"], run["accepted"]) == ("succeeded", 1)
        assert await site.rows() == [
            {
                "id": 52, "content_type": "article", "published": True,
                "field_title_id": 9, "field_title_type": "ibexa_string", "field_title_language_code": "eng-GB",
                "field_title_value": "Shoes",
                "field_map_id": 9, "field_map_type": "gmap", "field_map_language_code": "eng-GB",
                "field_map_value": '{"x":1}',
            }
        ]  # fmt: skip

    processors = ["skip:ibexa_image", "json:gmap"]
    on_site(embedded_settings, scenario, kind="content", processors=processors, **{"from": source})


def test_products_are_named_by_their_code(embedded_settings: ExporterSettings, tmp_path: Path) -> None:
    source = ndjson(tmp_path, {"code": "A-1", "price": "100.00"}, {"id": 2, "price": "1.00"})

    async def scenario(site: Site) -> None:
        run = await site.export()
        assert (run["state"], run["accepted"], run["invalid"]) == ("partial", 1, 1)
        assert (await site.shown(run))["refused_rows"] == [
            {
                "stage": "check",
                "code": "no_key",
                "column": "code",
                "reason": "the row has no `code`, which is to name it",
            }
        ]

    on_site(embedded_settings, scenario, kind="product", refused_share=0.5, **{"from": source})


def test_a_settled_column_keeps_its_type(embedded_settings: ExporterSettings, tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        await site.export()
        ndjson(tmp_path, {"id": 1, "stock": 4}, {"id": 2, "stock": "many"}, {"id": 3})
        run = await site.export()
        assert (run["accepted"], run["invalid"]) == (2, 1)
        (refusal,) = (await site.shown(run))["refusals"]
        assert (refusal["code"], refusal["column"], refusal["rows"]) == ("type_changed", "stock", 1)

    source = ndjson(tmp_path, {"id": 1, "stock": 3})
    on_site(embedded_settings, scenario, kind="content", refused_share=0.5, **{"from": source})


def test_a_draft_sends_the_fullest_rows_marked_as_such_and_moves_nothing(
    settings_of_store: ExporterSettings, tmp_path: Path
) -> None:
    items = [{"id": number, "name": f"n{number}"} | ({"price": 1.5} if number % 2 else {}) for number in range(10)]

    async def scenario(site: Site) -> None:
        refused = await site.export()
        assert (refused["state"], refused["origin"]) == ("failed", "Trackway")
        assert "trackway run it --draft" in refused["outcome"]
        draft = await site.export("draft")
        assert (draft["state"], draft["scope"], draft["accepted"]) == ("succeeded", "sample", 3)
        assert [row["id"] for row in await site.rows(draft=True)] == [1, 3, 5]
        assert await site.rows() == []
        assert await site.query("SELECT COUNT(*) FROM export_row") == [(0,)]
        live = await site.export()
        assert (live["scope"], live["accepted"]) == ("full", 10)
        # Other processors, other columns: the CDP has to see them first.
        changed = site.settings.workflows["it"].processors[:0]
        assert (await site.export(processors=changed))["state"] == "failed"

    source = ndjson(tmp_path, *items)
    given: dict[str, Any] = {"kind": "content", "from": source, "require_draft": True, "draft_rows": 3}
    on_site(settings_of_store, scenario, **given, processors=["skip:x"])


def test_runs_are_listed_newest_first_with_what_became_of_them(
    settings_of_store: ExporterSettings, tmp_path: Path
) -> None:
    async def scenario(site: Site) -> None:
        first, second = await site.export(), await site.export()
        assert await list_runs(site.store, 10) == [second, first]
        assert await list_runs(site.store, 1, "it") == [second]
        assert await list_runs(site.store, 10, "other") == []
        (batch,) = (await site.shown(first))["batches"]
        assert (batch["number"], batch["state"], batch["rows"], batch["accepted"]) == (1, "done", 1, 1)
        assert first["stream"] == "…0001"

    on_site(settings_of_store, scenario, kind="content", **{"from": ndjson(tmp_path, {"id": 1})})


def test_a_file_that_cannot_be_read_fails_the_run_and_says_so(embedded_settings: ExporterSettings) -> None:
    async def scenario(site: Site) -> None:
        run = await site.export()
        assert (run["state"], run["origin"]) == ("failed", "source")
        assert "/nowhere/items.ndjson cannot be read (No such file or directory)" in run["error"]

    on_site(embedded_settings, scenario, kind="content", **{"from": "ndjson:/nowhere/items.ndjson"})

"""Tokens, links, cookies and forms."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from exporter.console.auth import ATTEMPTS_A_MINUTE, LINK_SECONDS, SESSION_SECONDS, SignIn, load_or_make_token
from exporter.settings import Admin, ExporterSettings

TOKEN = "tw_a-token-of-the-tests"


class Clock:
    now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sign_in(clock: Clock) -> SignIn:
    return SignIn(TOKEN, "a secret", clock)


def test_the_first_start_makes_a_token_that_only_its_owner_can_read(tmp_path: Path) -> None:
    settings = ExporterSettings(data=tmp_path / "new")
    token = load_or_make_token(settings)
    file = tmp_path / "new" / "admin-token"
    assert len(token) > 40
    assert file.stat().st_mode & 0o777 == 0o600
    assert load_or_make_token(settings) == token


def test_a_token_of_the_settings_wins_over_the_file(tmp_path: Path) -> None:
    load_or_make_token(ExporterSettings(data=tmp_path))
    assert load_or_make_token(ExporterSettings(data=tmp_path, admin=Admin(token=SecretStr(TOKEN)))) == TOKEN


def test_postgresql_needs_a_token(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"admin\.token: needed with PostgreSQL"):
        load_or_make_token(ExporterSettings(data=tmp_path, store="postgresql://host/database"))
    assert not (tmp_path / "admin-token").exists()


def test_a_short_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 16 characters") as refused:
        load_or_make_token(ExporterSettings(data=tmp_path, admin=Admin(token=SecretStr("hunter2"))))
    assert "hunter2" not in str(refused.value)


def code_of(sign_in: SignIn) -> str:
    return sign_in.sign_in_link("http://127.0.0.1:8081/").removeprefix("http://127.0.0.1:8081/console/login?code=")


def test_a_link_works_once(sign_in: SignIn) -> None:
    code = code_of(sign_in)
    assert sign_in.redeem(code)
    assert not sign_in.redeem(code)
    assert not sign_in.redeem("guessed")


def test_a_link_grows_old(sign_in: SignIn, clock: Clock) -> None:
    code = code_of(sign_in)
    clock.now += LINK_SECONDS + 1
    assert not sign_in.redeem(code)


def test_a_cookie_lasts_half_a_day(sign_in: SignIn, clock: Clock) -> None:
    cookie = sign_in.new_cookie()
    assert sign_in.visit_of(cookie)
    clock.now += SESSION_SECONDS + 1
    assert sign_in.visit_of(cookie) is None


@pytest.mark.parametrize("cookie", [None, "", ".", "..", "1.x.y", "x.y.z", "é.é.é", "9" * 5000])
def test_a_forged_cookie_opens_nothing(sign_in: SignIn, cookie: str | None) -> None:
    assert sign_in.visit_of(cookie) is None


def test_a_changed_cookie_opens_nothing(sign_in: SignIn) -> None:
    since, name, signature = sign_in.new_cookie().split(".")
    assert sign_in.visit_of(f"{int(since) + 1}.{name}.{signature}") is None


def test_another_process_with_the_same_secret_and_token_knows_the_cookie(sign_in: SignIn, clock: Clock) -> None:
    cookie = sign_in.new_cookie()
    assert SignIn(TOKEN, "a secret", clock).visit_of(cookie)
    assert SignIn(TOKEN, "another", clock).visit_of(cookie) is None
    assert SignIn(TOKEN + "2", "a secret", clock).visit_of(cookie) is None


def test_a_signed_out_cookie_opens_nothing(sign_in: SignIn) -> None:
    cookie = sign_in.new_cookie()
    visit = sign_in.visit_of(cookie)
    assert visit
    sign_in.sign_out(visit)
    assert sign_in.visit_of(cookie) is None


def test_a_form_belongs_to_its_visitor(sign_in: SignIn) -> None:
    first, second = sign_in.visit_of(sign_in.new_cookie()), sign_in.visit_of(sign_in.new_cookie())
    assert sign_in.is_form_token(first, sign_in.form_token(first))
    assert not sign_in.is_form_token(first, sign_in.form_token(second))
    assert not sign_in.is_form_token(first, sign_in.form_token(None))
    assert not sign_in.is_form_token(first, "")


def test_an_address_has_to_wait_after_wrong_attempts(sign_in: SignIn, clock: Clock) -> None:
    for _ in range(ATTEMPTS_A_MINUTE):
        assert sign_in.wait("192.0.2.1") == 0
        sign_in.failed("192.0.2.1")
    assert 0 < sign_in.wait("192.0.2.1") <= 61
    assert sign_in.wait("192.0.2.2") == 0
    clock.now += 61
    assert sign_in.wait("192.0.2.1") == 0

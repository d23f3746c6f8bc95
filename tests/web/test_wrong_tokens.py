"""A token cannot be guessed: few tries for each address, seen in the log and the metrics."""

import pytest
from conftest import client_of

from brain_cnn.errors import SettingsError
from brain_cnn.web import wrong_tokens
from brain_cnn.web.settings import Settings

TOKEN = "correct-horse-battery"


class Clock:
    now = 5000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(wrong_tokens, "time", clock)
    return clock


@pytest.fixture
def guarded(classifier):
    return client_of(classifier, api_token=TOKEN)


def ask(client, token, address="198.51.100.7"):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return client.get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": address})


def test_guesses_are_limited_per_address_before_they_are_compared(guarded, clock, monkeypatch):
    for number in range(wrong_tokens.MOST):
        assert ask(guarded, f"guess-{number}").status_code == 401
    monkeypatch.setattr("hmac.compare_digest", None)
    limited = ask(guarded, TOKEN)
    assert limited.status_code == 429 and limited.json["code"] == "too-many-wrong-tokens"
    assert limited.headers["Retry-After"] == "60"
    monkeypatch.undo()
    clock_again = Clock()
    clock_again.now = clock.now + 61
    monkeypatch.setattr(wrong_tokens, "time", clock_again)
    assert ask(guarded, TOKEN).status_code == 200, "a minute later"


def test_others_are_not_limited(guarded, clock):
    for number in range(wrong_tokens.MOST + 1):
        ask(guarded, f"guess-{number}", "2001:db8::1")
    assert ask(guarded, TOKEN, "2001:db8::2").status_code == 429, "the same network"
    assert ask(guarded, TOKEN, "2001:db8:0:1::1").status_code == 200
    assert guarded.get("/healthz", environ_base={"REMOTE_ADDR": "2001:db8::1"}).status_code == 200


def test_asking_without_a_token_is_no_guess(guarded, clock):
    for _ in range(3 * wrong_tokens.MOST):
        assert ask(guarded, "").status_code == 401
    assert ask(guarded, TOKEN).status_code == 200


def test_rate_limit_keeps_the_sentence_about_the_token(classifier, clock):
    client = client_of(classifier, api_token=TOKEN, rate_limit="1000/minute")
    for number in range(wrong_tokens.MOST):
        ask(client, f"guess-{number}")
    assert ask(client, TOKEN).json["code"] == "too-many-wrong-tokens"


def test_guesses_are_in_the_metrics_and_in_the_log_without_address_and_token(
    guarded, clock, caplog
):
    for number in range(wrong_tokens.MOST + 2):
        ask(guarded, f"guess-{number}")
    ask(guarded, "guess", "198.51.100.8")
    lines = [r for r in caplog.records if hasattr(r, "fields") and "wrong_tokens" in r.fields]
    assert [line.fields["wrong_tokens"] for line in lines] == [*range(1, 11), 1]
    assert len({line.fields["client"] for line in lines[:10]}) == 1
    assert lines[0].fields["client"] != lines[-1].fields["client"]
    assert "198.51" not in caplog.text and "guess" not in caplog.text
    text = ask(guarded, TOKEN, "198.51.100.9").text
    assert 'brain_cnn_wrong_tokens_total{outcome="wrong"} 11.0' in text
    assert 'brain_cnn_wrong_tokens_total{outcome="not compared"} 2.0' in text


def test_name_of_an_address_changes_with_the_day(guarded, clock, caplog):
    names = []
    for _ in range(3):
        ask(guarded, "guess")
        names.append(caplog.records[-2].fields["client"])
        clock.now += 13 * 3600
    assert names[0] == names[1] != names[2]


def test_crowd_of_addresses_takes_no_more_memory(guarded, clock, monkeypatch):
    monkeypatch.setattr(wrong_tokens, "_MOST_ADDRESSES", 5)
    for number in range(20):
        ask(guarded, "guess", f"198.51.100.{number}")
    for number in range(wrong_tokens.MOST):
        ask(guarded, f"guess-{number}")
    assert ask(guarded, TOKEN).status_code == 429


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_blank_token_stops_the_start(blank):
    with pytest.raises(SettingsError, match="BRAIN_CNN_API_TOKEN") as error:
        Settings.from_env({"BRAIN_CNN_API_TOKEN": blank})
    assert "not set at all" in str(error.value.hint)
    if blank:
        with pytest.raises(SettingsError, match="BRAIN_CNN_API_TOKEN"):
            Settings(api_token=blank)

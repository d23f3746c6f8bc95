"""Who may call, and how often: token, rate, host names, proxies."""

import base64

import pytest
from conftest import client_of, upload

from brain_cnn.errors import SettingsError
from brain_cnn.web.settings import Settings

TOKEN = "correct-horse-battery"


def basic(password):
    return {"Authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def guarded(classifier):
    return client_of(classifier, api_token=TOKEN)


@pytest.mark.parametrize("headers", [bearer(TOKEN), basic(TOKEN)])
def test_token_opens_page_and_api(guarded, phantom_png, headers):
    assert guarded.get("/", headers=headers).status_code == 200
    assert upload(guarded, phantom_png, headers=headers).status_code == 200
    assert guarded.get("/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer(""),
        bearer(TOKEN[:-1]),
        bearer(TOKEN + "x"),
        bearer("é"),
        basic("wrong"),
        {"Authorization": TOKEN},
        {"Authorization": "Digest username=x"},
        {"Authorization": "Basic %%%"},
        {"Cookie": f"token={TOKEN}"},
    ],
)
def test_without_the_token_nothing_but_health_is_answered(guarded, phantom_png, headers):
    for response in (
        upload(guarded, phantom_png, headers=headers),
        guarded.get("/api/v1/openapi.json", headers=headers),
    ):
        assert response.status_code == 401
        assert response.content_type == "application/problem+json"
        assert response.headers["WWW-Authenticate"] == "Bearer"
    for response in (
        guarded.get("/", headers=headers),
        upload(guarded, phantom_png, url="/", headers=headers),
        guarded.get("/nothing", headers=headers),
    ):
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"].startswith("Basic"), "a browser asks for it"
    assert guarded.get("/metrics", headers=headers).status_code == 401
    assert guarded.get("/healthz", headers=headers).status_code == 200
    assert guarded.get("/readyz", headers=headers).status_code == 200


def test_token_comes_from_a_file_too(classifier, tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    client = client_of(classifier, api_token_file=str(path))
    assert client.get("/").status_code == 401
    assert client.get("/", headers=bearer(TOKEN)).status_code == 200


def test_token_file_that_is_missing_or_empty_stops_the_start(tmp_path):
    (tmp_path / "empty").write_text("\n")
    for name in ("nowhere", "empty"):
        with pytest.raises(SettingsError, match="BRAIN_CNN_API_TOKEN_FILE"):
            _ = Settings(api_token_file=str(tmp_path / name)).token


def test_token_is_never_printed(classifier, caplog):
    settings = Settings(api_token=TOKEN)
    assert TOKEN not in settings.describe() and "api_token='(set)'" in settings.describe()
    client = client_of(classifier, api_token=TOKEN)
    with caplog.at_level("DEBUG"):
        client.get("/", headers=bearer(TOKEN))
        client.get("/", headers=bearer("wrong-token"))
    assert TOKEN not in caplog.text and "wrong-token" not in caplog.text


def test_rate_limit_is_429_with_the_time_to_wait(classifier, phantom_png):
    client = client_of(classifier, rate_limit="3/minute")
    assert [client.get("/").status_code for _ in range(3)] == [200] * 3
    response = upload(client, phantom_png)
    assert response.status_code == 429
    assert response.content_type == "application/problem+json"
    assert response.json["code"] == "too-many-requests" and "3/minute" in response.json["detail"]
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    page = client.get("/")
    assert page.status_code == 429 and page.content_type.startswith("text/html")
    assert 1 <= int(page.headers["Retry-After"]) <= 60


def test_rate_limit_spares_health_metrics_and_static_files(classifier):
    client = client_of(classifier, rate_limit="1/minute")
    for _ in range(3):
        for url in ("/healthz", "/readyz", "/metrics", "/static/icon.svg"):
            assert client.get(url).status_code == 200
    assert client.get("/").status_code == 200


def test_rate_limit_is_per_client(classifier):
    client = client_of(classifier, rate_limit="1/minute")
    for address in ("10.0.0.1", "10.0.0.2"):
        assert client.get("/", environ_base={"REMOTE_ADDR": address}).status_code == 200
    assert client.get("/", environ_base={"REMOTE_ADDR": "10.0.0.1"}).status_code == 429


def test_client_cannot_choose_its_address(classifier):
    client = client_of(classifier, rate_limit="1/minute")
    codes = [
        client.get("/", headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code for n in (1, 2)
    ]
    assert codes == [200, 429], "without BRAIN_CNN_PROXIES the header is not believed"


def test_proxy_s_word_is_taken_when_told(classifier):
    client = client_of(classifier, rate_limit="1/minute", proxies=1)

    def get(forwarded):
        return client.get("/", headers={"X-Forwarded-For": forwarded}).status_code

    assert [get("10.0.0.1"), get("10.0.0.2"), get("10.0.0.1")] == [200, 200, 429]
    # What a client writes into the header stands left of what the proxy added.
    assert get("6.6.6.6, 10.0.0.1") == 429


def test_rate_limit_that_is_none_stops_the_start():
    with pytest.raises(SettingsError, match="BRAIN_CNN_RATE_LIMIT is 'often'"):
        Settings(rate_limit="often")


def test_no_rate_limit_by_default(classifier):
    client = client_of(classifier)
    assert {client.get("/healthz").status_code for _ in range(300)} == {200}
    assert {client.get("/api/v1/openapi.json").status_code for _ in range(50)} == {200}


def test_only_trusted_hosts_are_answered(classifier):
    client = client_of(classifier, trusted_hosts="brain.example, .lab.example")
    for host, status in (
        ("brain.example", 200),
        ("brain.example:8000", 200),
        ("a.lab.example", 200),
        ("evil.example", 400),
        ("localhost", 400),
    ):
        assert client.get("/", headers={"Host": host}).status_code == status, host
    assert client.get("/healthz", headers={"Host": "10.1.2.3"}).status_code == 200


def test_https_is_asked_for_only_behind_a_proxy_that_speaks_it(classifier):
    header, forwarded = "Strict-Transport-Security", {"X-Forwarded-Proto": "https"}
    assert header not in client_of(classifier).get("/", headers=forwarded).headers
    assert header in client_of(classifier, proxies=1).get("/", headers=forwarded).headers


def test_debug_cannot_be_switched_on(classifier, monkeypatch):
    monkeypatch.setenv("FLASK_DEBUG", "1")
    monkeypatch.setenv("FLASK_ENV", "development")
    app = client_of(classifier).application
    assert not app.debug and not app.config["PROPAGATE_EXCEPTIONS"]

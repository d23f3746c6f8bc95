"""What a scanner for web servers would look for in every answer; and SECURITY.md's list."""

import re

import pytest
from conftest import ROOT, client_of, upload

SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")

WANTED = {
    "Content-Security-Policy": r"default-src 'none'",
    "X-Content-Type-Options": r"^nosniff$",
    "X-Frame-Options": r"^DENY$",
    "Referrer-Policy": r"^no-referrer$",
    "Cross-Origin-Opener-Policy": r"^same-origin$",
    "Cross-Origin-Resource-Policy": r"^same-origin$",
    "Permissions-Policy": r"camera=\(\)",
    "Cache-Control": r"no-store|no-cache|immutable",
    "X-Request-ID": r"^[0-9a-f]{32}$",
}


@pytest.mark.parametrize(
    "url",
    ["/", "/api", "/api/v1/openapi.json", "/metrics", "/healthz", "/readyz", "/nothing",
     "/api/v1/nothing", "/static/icon.svg", "/static/nothing", "/api/v1/predict"],
)  # fmt: skip
def test_every_answer_has_every_header(client, url):
    headers = client.get(url).headers
    for name, pattern in WANTED.items():
        assert re.search(pattern, headers.get(name, "")), (url, name)
    assert "Set-Cookie" not in headers and "X-Powered-By" not in headers
    assert "Access-Control-Allow-Origin" not in headers


def test_answers_to_uploads_have_them_too(classifier, phantom_png):
    client = client_of(classifier, max_file_mib=1, max_request_mib=1)
    for url in ("/", "/api/v1/predict", "/api/v1/report"):
        for data in (phantom_png, b"junk", bytes(1_500_000)):
            headers = upload(client, data, url=url).headers
            for name, pattern in WANTED.items():
                assert re.search(pattern, headers.get(name, "")), (url, name)


def test_policy_allows_nothing_but_our_own_files(client):
    policy = client.get("/").headers["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and rules["script-src"] == "'self'"
    assert rules["style-src"] == "'self'" and rules["frame-ancestors"] == "'none'"
    assert rules["form-action"] == "'self'" and rules["base-uri"] == "'none'"
    assert not re.search(r"unsafe|\*|https?:", policy)
    for url in ("/", "/api", "/nothing"):
        page = client.get(url).text
        assert not re.search(r"<script(?![^>]*\ssrc=)|\son\w+=|\sstyle=|<style", page), url


def test_server_tells_no_version_of_its_parts(server):
    import urllib.request

    with urllib.request.urlopen(server.url + "/healthz", timeout=30) as response:
        assert not re.search(r"\d", response.headers.get("Server", ""))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(tests/[\w/.:]+)`", SECURITY))))
def test_every_test_that_security_md_names_is_there(name):
    path, _, function = name.partition("::")
    assert (ROOT / path).is_file(), path
    if function:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^def {function}\(", text, re.MULTILINE), function


def test_every_threat_has_a_test():
    rows = [line for line in SECURITY.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        assert "`tests/" in row.split("|")[3], row


def test_no_redirect_takes_the_host_of_the_caller(client):
    rules = {rule.rule for rule in client.application.url_map.iter_rules()}
    for path in {"//static", "//static/icon.svg", "/static//icon.svg", "//", *rules}:
        for address in (path, f"/{path}", f"{path}/", path.replace("/", "//")):
            response = client.get(
                "/", base_url="http://evil.example", environ_overrides={"PATH_INFO": address}
            )
            assert "evil" not in response.headers.get("Location", ""), address
            assert response.status_code not in (301, 302, 303, 307, 308), address
            response.close()

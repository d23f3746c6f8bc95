"""Every page and state: accessible, and with the words that fit it."""

import pytest
from browsing import READY, answer, choose, file_of, needs_browser, volume_of
from conftest import encode

pytestmark = needs_browser

SCHEMES = ["dark", "light"]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def check(page, state):
    """Fail with axe-core's words where it finds a barrier on the page as it stands."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
    found = axe.run(page, options=options)
    assert found.violations_count == 0, f"{state}:\n{found.generate_report()}"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_start_and_answers_have_no_barrier(open_page, phantom, phantom_png, scheme):
    page = open_page(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    check(page, "start")
    answer(page, phantom_png)
    check(page, "answer")
    page.click("#mark")
    page.click("#ask")
    page.wait_for_selector("#moved:visible")
    check(page, "asked back")
    page.click("#keys-button")
    check(page, "list of keys")
    page.keyboard.press("Escape")
    answer(
        page,
        file_of(volume_of(phantom, 8), "study.tiff"),
        file_of(phantom_png[:300], "broken.png"),
        file_of(b"hello there", "notes.txt"),
    )
    page.wait_for_selector("#slice")
    page.wait_for_selector("text=4 of 4 done")
    page.click("summary")
    check(page, "study and a batch with bad files")
    page.click(".item-open >> nth=2")
    page.wait_for_selector(".refused")
    check(page, "a file without an answer")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pages_without_javascript_have_no_barrier(open_page, phantom_png, scheme):
    # axe-core is a script: the page's own scripts are kept away instead.
    page = open_page(color_scheme=scheme, expected=["ERR_FAILED"])
    page.route("**/static/js/**", lambda route: route.abort())
    page.reload()
    choose(page, phantom_png)
    page.click("#upload button[type=submit] >> nth=0")
    page.wait_for_selector(".views img")
    check(page, "answer")
    page.goto(page.url + "nowhere")
    check(page, "error")
    page.goto(page.url.replace("nowhere", "model"))
    check(page, "model")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_refused_slice_shows_the_check_and_no_class(
    open_page, serve, refusing, phantom_png, scheme
):
    page = open_page(serve(refusing), color_scheme=scheme)
    answer(page, phantom_png)
    check(page, "refused")
    assert page.inner_text(".badge") == "Refused"
    assert "feature-distance" in page.inner_text(".checks")
    said = page.inner_text("#content").lower()
    for word in ("glioma", "meningioma", "pituitary", "grad-cam"):
        assert word not in said
    assert page.locator("#heat").count() == 0, "no heat for a class that is not named"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_uncertain_answer_and_a_small_screen_have_no_barrier(
    open_page, serve, uncertain, phantom_png, scheme
):
    viewport = {"width": 360, "height": 740}
    page = open_page(serve(uncertain), color_scheme=scheme, viewport=viewport)
    check(page, "start")
    answer(page, phantom_png)
    check(page, "uncertain")
    assert page.inner_text("#headline").startswith("Uncertain")
    small = page.eval_on_selector_all(
        "button, summary, select, input[type=range], .segments label, .links a",
        """all => all.map(e => [e.id || e.textContent, e.getBoundingClientRect()])
                    .filter(([, r]) => r.width && (r.width < 24 || r.height < 24))
                    .map(([name]) => name)""",
    )
    assert small == [], "too small for a finger"


def test_server_that_stays_busy_offers_another_try(open_page, phantom_png):
    page = open_page(expected=["status of 503"])
    page.route(
        "**/view",
        lambda route: route.fulfill(status=503, body='{"detail": "The server is busy."}'),
    )
    choose(page, phantom_png)
    page.wait_for_selector(".refused")
    assert "busy" in page.inner_text(".refused h2")
    page.unroute("**/view")
    page.click(".item-retry")
    page.wait_for_selector(".item.confident", state="attached")
    page.wait_for_selector(READY)
    check(page, "tried again")


def test_too_large_for_the_server_is_said_after_sending(open_page, serve, confident, phantom):
    # The page was loaded when the limit was higher: the server decides.
    page = open_page(serve(confident, max_file_mib=1, max_request_mib=2))
    page.evaluate("document.getElementById('upload').dataset.maxBytes = 99999999")
    choose(page, encode(phantom) + bytes(1_500_000))
    page.wait_for_selector(".refused")
    assert "the limit is" in page.inner_text(".refused")


def test_printed_answer_shows_the_words_without_the_controls(open_page, phantom_png):
    page = open_page()
    answer(page, phantom_png)
    page.emulate_media(media="print")
    assert page.locator("#headline").is_visible() and page.locator(".disclaimer").is_visible()
    for control in (".again", ".keep", ".toolbar >> nth=0", ".links"):
        assert page.locator(control).is_hidden(), control
    assert page.pdf(format="A4")[:5] == b"%PDF-"
    assert page.pdf(format="Letter")[:5] == b"%PDF-"


def test_policy_allows_no_inline_code_and_the_answer_has_none(open_page, phantom_png):
    page = open_page()
    policy = page.evaluate("fetch('/').then(r => r.headers.get('Content-Security-Policy'))")
    assert "unsafe" not in policy and "default-src 'none'" in policy
    answer(page, phantom_png)
    assert page.locator("[style], [onclick], style, script:not([src])").count() == 0
    assert page.locator(READY).count() == 1

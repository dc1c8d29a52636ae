"""
The page in a real Chromium.

Skipped where there is none: `make browser` installs one, `AUDITOR_CHROMIUM` names one.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from auditor.reporter import render
from tests.html_reports import PAGES, everywhere_on_the_page
from tests.reports import failed, report, verdict

CHROMIUM = os.environ.get("AUDITOR_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="no Chromium with its driver on this machine (make browser installs them)",
)

Open = Callable[..., webdriver.Chrome]


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """A Chromium without a window, and without a network."""
    assert DRIVER is not None
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    for word in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", *sandbox):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def show(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Open]:
    """A function that shows a report; afterwards nothing may have been complained of."""

    def open_(
        of: Any, width: int = 1200, scheme: str = "light", media: str = "", hash_: str = ""
    ) -> webdriver.Chrome:
        file = tmp_path / "report.html"
        file.write_text(render(of, "html"), encoding="utf-8")
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        browser.get("about:blank")
        browser.get(f"{file.as_uri()}{hash_}")
        return browser

    browser.get_log("browser")
    yield open_
    assert browser.get_log("browser") == []


def shown(browser: webdriver.Chrome) -> list[WebElement]:
    """Return the checks that can be seen, once the page has settled."""
    visible = "[...document.querySelectorAll('#list > *')].filter((each) => each.checkVisibility())"
    found: list[WebElement] = browser.execute_async_script(
        f"requestAnimationFrame(() => setTimeout(() => arguments[0]({visible})))"
    )
    return found


def open_all(browser: webdriver.Chrome) -> None:
    browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")


OVERFLOWING = """
return [...document.querySelectorAll("body *")]
  .filter((each) => !each.closest(".scroll") && !each.matches(".jump"))
  .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
  .map((each) => each.outerHTML.slice(0, 200));
"""
"""What stands beyond the right edge; tables may, since they scroll on their own."""


@pytest.mark.parametrize(
    ("name", "width"), [*((name, 360) for name in PAGES), ("small", 1200), ("small", 320)]
)
def test_a_page_opens_without_a_complaint_and_nothing_overflows(show, name, width):
    """The console stays empty, whatever the report is about: no error, and no breach of the page's own policy."""
    browser = show(PAGES[name], width=width)
    open_all(browser)
    assert browser.execute_script(OVERFLOWING) == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


def test_the_filter_finds_checks_by_result_severity_and_words(show):
    browser = show(PAGES["small"])
    count = browser.find_element(By.ID, "count")
    assert len(shown(browser)) == 5
    assert count.text == "5 of 5 checks shown"
    browser.find_element(By.CSS_SELECTOR, "[name=look][value=error]").click()
    assert {row.get_attribute("data-look") for row in shown(browser)} == {"fail", "pass"}
    search = browser.find_element(By.ID, "text")
    search.send_keys("IMPORTER shop")
    assert len(shown(browser)) == 1
    assert count.text == "1 of 5 checks shown"
    search.send_keys(Keys.ESCAPE)
    assert len(shown(browser)) == 3
    browser.find_element(By.CSS_SELECTOR, "#severity option[value=low]").click()
    assert [row.get_attribute("data-severity") for row in shown(browser)] == ["low"]
    browser.find_element(By.CSS_SELECTOR, "button[type=reset]").click()
    assert len(shown(browser)) == 5


def test_the_filter_tells_environments_and_packs_apart(show):
    browser = show(PAGES["several-environments"])
    for select, value, names in (("environment", 2, {"2"}), ("environment", 1, {"1"})):
        browser.find_element(By.CSS_SELECTOR, f"#{select} option[value='{value}']").click()
        assert {row.get_attribute("data-environment") for row in shown(browser)} == names
    browser.find_element(By.CSS_SELECTOR, "#pack option[value='2']").click()
    assert len(shown(browser)) == 1


def test_all_that_is_shown_opens_and_closes_at_once(show):
    browser = show(PAGES["small"])
    browser.find_element(By.CSS_SELECTOR, "[name=look][value=error]").click()
    shown(browser)
    browser.find_element(By.ID, "open").click()
    opened = browser.find_elements(By.CSS_SELECTOR, "#list > details[open]")
    assert {row.get_attribute("data-look") for row in opened} == {"fail", "pass"}
    browser.find_element(By.ID, "close").click()
    assert browser.find_elements(By.CSS_SELECTOR, "#list > details[open]") == []


def test_a_link_to_a_check_opens_it_also_where_the_filter_hides_it(show):
    browser = show(PAGES["small"], hash_="#check-2")
    assert browser.find_element(By.ID, "check-2").get_attribute("open")
    browser.find_element(By.ID, "text").send_keys("nothing has these words")
    assert shown(browser) == []
    browser.execute_script("location.hash = '#check-3'")
    assert len(shown(browser)) == 5
    assert browser.find_element(By.ID, "check-3").get_attribute("open")


def test_the_keyboard_reaches_everything(show):
    browser = show(PAGES["small"])
    first = browser.switch_to.active_element
    first.send_keys(Keys.TAB)
    skip = browser.switch_to.active_element
    assert skip.text == "To the checks"
    assert skip.is_displayed()
    heads = browser.find_elements(By.CSS_SELECTOR, "#list > details > summary")
    browser.execute_script("arguments[0].focus()", heads[0])
    for key, place in (
        (Keys.ARROW_DOWN, 1),
        (Keys.ARROW_UP, 0),
        (Keys.ARROW_UP, 0),
        (Keys.END, 4),
        (Keys.HOME, 0),
    ):
        browser.switch_to.active_element.send_keys(key)
        assert browser.switch_to.active_element == heads[place]
    heads[0].send_keys(Keys.ENTER)
    assert browser.find_element(By.ID, "check-1").get_attribute("open")


@pytest.mark.parametrize(
    "text",
    [
        "<script>window.ran = 1</script>",
        "<img src=x onerror='window.ran = 1'>",
        "</code></details><script>window.ran = 1</script>",
    ],
)
def test_a_script_in_the_name_of_a_user_stays_text(show, text):
    browser = show(everywhere_on_the_page(text))
    open_all(browser)
    assert text in browser.find_element(By.ID, "check-1").text
    assert browser.execute_script(
        "return [document.scripts.length, document.images.length, window.ran ?? null]"
    ) == [1, 0, None]


def test_the_policy_of_the_page_forbids_other_scripts_and_styles(browser, show):
    show(PAGES["small"])
    ran = browser.execute_script(
        "const own = document.createElement('script'); let said = null;"
        "try { own.text = 'window.ran = 1'; document.body.append(own); } catch (error) { said = error.name; }"
        "document.body.setAttribute('style', 'color: rgb(1, 2, 3)');"
        "return [window.ran ?? null, said, getComputedStyle(document.body).color];"
    )
    assert ran[:2] == [None, "TypeError"]
    assert ran[2] != "rgb(1, 2, 3)"
    complaints = browser.get_log("browser")
    assert complaints
    assert all(
        "Content Security Policy" in each["message"] or "TrustedScript" in each["message"]
        for each in complaints
    )


def test_at_night_the_page_is_dark(show):
    def ground(scheme: str) -> list[int]:
        browser = show(PAGES["small"], scheme=scheme)
        color = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        return [int(part) for part in color.removeprefix("rgb(").removesuffix(")").split(",")]

    assert min(ground("light")) > 200
    assert max(ground("dark")) < 60


@pytest.mark.parametrize("media", ["screen", "print"])
def test_nothing_that_is_told_of_a_skipped_or_waived_check_is_hidden(show, media):
    """Each way to end has a colour, and none of them a place beside the page."""
    skipped, waived = PAGES["skips"].verdicts[0], PAGES["waivers"].verdicts
    browser = show(report(skipped, *waived, failed(), verdict()), media=media)
    open_all(browser)
    told = ".figures > div, #list .badge, a.check, h1"
    beside = [
        each
        for each in browser.find_elements(By.CSS_SELECTOR, told)
        if each.rect["x"] < 0 or not each.is_displayed()
    ]
    assert beside == []
    assert len(browser.find_elements(By.CSS_SELECTOR, ".figures > div")) == 8


def test_on_paper_everything_is_open_and_what_is_for_the_screen_is_gone(show):
    browser = show(PAGES["small"], media="print", scheme="dark")
    bodies = browser.find_elements(By.CSS_SELECTOR, "#list > details > .body")
    assert len(bodies) == 5
    assert all(browser.execute_script("return arguments[0].checkVisibility()", body) for body in bodies)
    assert not browser.find_element(By.ID, "filter").is_displayed()
    assert browser.find_element(By.CSS_SELECTOR, ".sign").is_displayed()
    assert (
        browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        == "rgb(255, 255, 255)"
    )


def test_printing_gives_a_pdf_with_every_detail(show):
    browser = show(PAGES["small"])
    options = {"printBackground": True, "preferCSSPageSize": True}
    whole, short = (
        base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {**options, **pages})["data"])
        for pages in ({}, {"pageRanges": "1"})
    )
    assert whole.startswith(b"%PDF-")
    assert len(whole) > len(short)
    # Afterwards the screen is as it was.
    assert browser.find_elements(By.CSS_SELECTOR, "#list > details[open]") == []


def test_a_thousand_checks_can_be_filtered(show):
    checks = (
        failed(25, check=f"c{each}") if each % 3 == 0 else verdict(check=f"c{each}") for each in range(1_050)
    )
    browser = show(report(*checks))
    browser.find_element(By.ID, "text").send_keys("pingone-activity / c1049")
    assert [row.get_attribute("id") for row in shown(browser)] == ["check-1050"]


def test_without_its_script_the_page_shows_everything(browser, show):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        show(PAGES["small"])
        rows = browser.find_elements(By.CSS_SELECTOR, "#list > details")
        assert len(rows) == 5
        assert all(row.is_displayed() for row in rows)
        assert not browser.find_element(By.ID, "filter").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})

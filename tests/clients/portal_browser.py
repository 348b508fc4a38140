"""A person at a browser: signs in, sets up an authenticator app by its QR code, recovers, and removes it again.

usage: portal_browser.py PORTAL_URL TOKEN_URL SCREENSHOTS AXE_SOURCE

Scripts are switched off in the first run, so that everything is seen to work without them; the second run looks at
the pages with scripts, on a phone, in the light and in the dark. Prints one JSON object with what was seen.
"""

import base64
import hashlib
import hmac
import io
import json
import pathlib
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import zxingcpp
from PIL import Image
from playwright.sync_api import sync_playwright

portal, token_url, screenshots, axe_source = sys.argv[1:]
screenshots = pathlib.Path(screenshots)
screenshots.mkdir(parents=True, exist_ok=True)
axe = pathlib.Path(axe_source).read_text()
seen = {"console": [], "violations": {}, "scrolls_sideways": [], "looked_at": 0}


class Codes:
    """Codes of one secret, each later than the one before, and all within the window."""

    def __init__(self, secret):
        self.key = base64.b32decode(secret + "=" * (-len(secret) % 8))
        self.last = int(time.time()) // 30 - 2

    def next(self):
        self.last = max(self.last + 1, int(time.time()) // 30 - 1)
        digest = hmac.new(self.key, struct.pack(">Q", self.last), hashlib.sha1).digest()
        at = digest[-1] & 15
        return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


def token(code=None, remember=False):
    """Asks for a token as any client does; returns the status."""
    form = urllib.parse.urlencode({"grant_type": "password", "username": "alice", "password": "passw0rd"})
    request = urllib.request.Request(token_url, form.encode())
    request.add_header("Authorization", "Basic " + base64.b64encode(b"testclient:testpass").decode())
    if code:
        request.add_header("X-Drupal-TFA", code)
    if remember:
        request.add_header("X-TFA-Remember", "1")
    try:
        return urllib.request.urlopen(request).status
    except urllib.error.HTTPError as error:
        return error.code


def shot(page, name):
    page.screenshot(path=screenshots / f"{name}.png", full_page=True)


def check_accessibility(page, name):
    page.evaluate(axe)
    # Without a preload: it would fetch the style sheet, which the pages' own policy forbids.
    result = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
    found = [f"{v['id']}: {n['html']}" for v in result["violations"] for n in v["nodes"]]
    if found:
        seen["violations"][name] = found


def look_at(page, name):
    """Looks at a page in both colour schemes."""
    for scheme in ["light", "dark"]:
        page.emulate_media(color_scheme=scheme)
        check_accessibility(page, f"{name}-{scheme}")
        shot(page, f"phone-{scheme}-{name}")
    if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        seen["scrolls_sideways"].append(name)
    seen["looked_at"] += 1


def sign_in(page, password="passw0rd", code=None):
    page.get_by_label("User name").fill("alice")
    page.get_by_label("Password").fill(password)
    if code:
        page.get_by_label("Code from your").fill(code)
    page.keyboard.press("Enter")


def watched(context):
    page = context.new_page()
    # That a refused form is answered with a status of its own is no fault of the page's.
    errors = lambda message: message.type == "error" and not message.text.startswith("Failed to load resource")
    page.on("console", lambda message: seen["console"].append(message.text) if errors(message) else None)
    page.on("pageerror", lambda error: seen["console"].append(str(error)))
    parts = lambda answer: answer.request.resource_type != "document" and answer.status >= 400
    page.on("response", lambda answer: seen["console"].append(answer.url) if parts(answer) else None)
    return page


def without_scripts(browser):
    context = browser.new_context(java_script_enabled=False)
    page = watched(context)
    page.goto(portal)
    shot(page, "sign-in")
    sign_in(page, password="not-it")
    seen["wrong_password"] = page.get_by_role("alert").inner_text()
    sign_in(page)
    page.get_by_role("button", name="Add").wait_for()
    seen["before"] = page.get_by_role("main").inner_text()
    shot(page, "overview-empty")

    page.get_by_label("Name of the device").fill("my <phone>")
    page.get_by_role("button", name="Add").click()
    qr = page.get_by_role("img", name="QR code").screenshot()
    shot(page, "set-up")
    uri = zxingcpp.read_barcodes(Image.open(io.BytesIO(qr)))[0].text
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(uri).query)
    typed = page.locator("code.secret").inner_text().replace(" ", "")
    seen["secrets_agree"] = query["secret"] == [typed]
    seen["before_confirmation"] = token()
    codes = Codes(typed)

    page.get_by_label("Enter the code").fill("000000")
    page.get_by_role("button", name="Confirm").click()
    seen["wrong_code"] = page.get_by_role("alert").inner_text()
    shot(page, "set-up-wrong-code")
    page.get_by_label("Enter the code").fill(codes.next())
    page.get_by_role("button", name="Confirm").click()
    seen["confirmed"] = page.get_by_role("status").inner_text()
    shot(page, "overview-confirmed")
    seen["challenged"], seen["released"] = token(), token(codes.next())

    page.get_by_role("button", name="Get recovery codes").click()
    recovery = [code.inner_text() for code in page.locator("#codes code").all()]
    seen["recovery_codes"] = len(set(recovery))
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    seen["download"] = pathlib.Path(download.value.path()).read_text().split() == recovery
    shot(page, "recovery-codes")

    page.get_by_role("link", name="Back").click()
    page.get_by_role("button", name="Sign out").click()
    seen["signed_out"] = page.get_by_role("status").inner_text()
    page.go_back()
    page.reload()
    seen["after_sign_out"] = page.get_by_role("button", name="Sign in").is_visible()
    page.goto(portal)
    sign_in(page)
    seen["code_wanted"] = page.get_by_role("alert").inner_text()
    shot(page, "sign-in-code-wanted")
    page.get_by_label("Password").fill("passw0rd")
    page.get_by_label("Code from your").fill(recovery[0].upper())
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Add").wait_for()
    seen["after_recovery"] = page.get_by_role("main").inner_text()
    seen["token_by_recovery_code"] = [token(recovery[1]), token(recovery[1])]

    page.get_by_label("New name for my <phone>").fill("tablet")
    page.get_by_role("button", name="Rename").click()
    seen["renamed"] = page.get_by_role("heading", name="tablet").is_visible()
    page.get_by_role("link", name="Remove tablet").click()
    shot(page, "remove")
    page.get_by_label("Code from your").fill(recovery[0])
    page.keyboard.press("Enter")
    seen["not_removed"] = page.get_by_role("alert").inner_text()
    page.get_by_label("Code from your").fill(codes.next())
    page.keyboard.press("Enter")
    seen["removed"] = page.get_by_role("status").inner_text()
    seen["after"] = page.get_by_role("main").inner_text()
    seen["without_factor"] = token()
    context.close()


def enter(page):
    """Sends the form, and waits for the next page."""
    with page.expect_navigation():
        page.keyboard.press("Enter")


def with_scripts(browser, playwright):
    phone = dict(playwright.devices["iPhone SE"])
    phone.pop("default_browser_type", None)
    context = browser.new_context(**phone)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    # A printer's dialogue would wait for somebody.
    context.add_init_script("window.print = () => { document.documentElement.dataset.printed = 'yes'; };")
    page = watched(context)
    page.goto(portal)
    look_at(page, "sign-in")
    with page.expect_navigation():
        sign_in(page, password="not-it")
    look_at(page, "sign-in-wrong-password")
    page.goto(portal)
    # By the keyboard alone: the first field has the focus.
    for text, key in [("alice", "Tab"), ("passw0rd", "Enter")]:
        page.keyboard.type(text)
        page.keyboard.press(key)
    page.get_by_role("button", name="Add").wait_for()
    look_at(page, "overview-empty")
    page.get_by_role("button", name="Add").click()
    look_at(page, "set-up")
    codes = Codes(page.locator("code.secret").inner_text().replace(" ", ""))
    page.get_by_label("Enter the code").fill("000000")
    enter(page)
    look_at(page, "set-up-wrong-code")
    page.get_by_role("link", name="Cancel").click()
    look_at(page, "overview-waiting")
    page.get_by_role("link", name="Finish").click()
    page.get_by_label("Enter the code").fill(codes.next())
    enter(page)
    look_at(page, "overview-confirmed")
    page.get_by_role("button", name="Get recovery codes").click()
    look_at(page, "recovery-codes")
    shown = look_after_codes(page)
    page.get_by_role("link", name="Back").click()
    seen["remembered"] = token(codes.next(), remember=True)
    page.reload()
    look_at(page, "overview-devices")
    page.get_by_role("button", name="Forget").click()
    seen["forgotten"] = page.get_by_role("status").inner_text()
    seen["device_is_gone"] = page.get_by_role("heading", name="Remembered devices").count() == 0

    page.get_by_role("link", name="Replace recovery codes").click()
    look_at(page, "replace")
    page.get_by_label("Code from your").fill("000000")
    enter(page)
    look_at(page, "replace-wrong-code")
    page.get_by_label("Code from your").fill(codes.next())
    enter(page)
    page.locator("#codes").wait_for()
    replaced = [code.inner_text() for code in page.locator("#codes code").all()]
    seen["replaced"] = len(set(replaced) - set(shown))
    seen["by_old_and_new_code"] = [token(shown[1]), token(replaced[1])]
    page.get_by_role("link", name="Back").click()

    page.get_by_role("link", name="Remove Authenticator app").click()
    look_at(page, "remove")
    page.get_by_label("Code from your").fill("000000")
    enter(page)
    look_at(page, "remove-wrong-code")
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name="Sign out").click()
    look_at(page, "signed-out")
    with page.expect_navigation():
        sign_in(page)
    look_at(page, "sign-in-code-wanted")
    page.goto(portal + "nothing")
    look_at(page, "session-over")
    context.close()


def look_after_codes(page):
    """Copies and prints the recovery codes, under the pages' own policy. Returns them."""
    shown = [code.inner_text() for code in page.locator("#codes code").all()]
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    seen["copied"] = page.evaluate("navigator.clipboard.readText()").split() == shown
    page.get_by_role("button", name="Print").click()
    seen["printed"] = page.locator("html[data-printed]").count() == 1
    page.emulate_media(media="print")
    visible = lambda of: of.is_visible()
    seen["on_paper"] = [
        all(visible(code) for code in page.locator("#codes code").all()),
        visible(page.get_by_role("button", name="Copied")),
        visible(page.get_by_role("banner")),
    ]
    shot(page, "recovery-codes-print")
    page.emulate_media(media="screen")
    return shown


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    without_scripts(browser)
    with_scripts(browser, playwright)
    browser.close()
print(json.dumps(seen))

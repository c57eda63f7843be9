"""Chromium by its DevTools protocol, over a pipe: no port, and no library to talk to it."""

from __future__ import annotations

import fcntl
import json
import os
import queue
import threading
import time

from harness import Failed, check

BROWSER = "chromium"
# It does nothing by itself.
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync "
    "--disable-background-networking --disable-component-update --hide-scrollbars "
    "--force-color-profile=srgb --font-render-hinting=none --remote-debugging-pipe"
).split()
# Of one command, and of whatever a page is waited for.
LIMIT_S = 20
# A key that is no letter of its own.
CODES = {"Enter": ("\r", 13), "Escape": ("", 27), "ArrowDown": ("", 40), "End": ("", 35)}


class Browser:
    """A headless Chromium. `world` starts it, and ends it."""

    def __init__(self, world, data):
        their_in, ours_out = pipe()
        ours_in, their_out = pipe()
        # The protocol is spoken on descriptors 3 and 4.
        join = f'exec "$@" 3<&{their_in} 4>&{their_out}'
        argv = ["bash", "-c", join, "browser", BROWSER, *FLAGS, f"--user-data-dir={data}"]
        self.process = world.start("browser", argv, (their_in, their_out))
        os.close(their_in)
        os.close(their_out)
        self.out = os.fdopen(ours_out, "wb", buffering=0)
        self.lock = threading.Lock()
        self.ids = 0
        self.answers = {}
        self.pages = {}
        threading.Thread(target=self.read, args=(os.fdopen(ours_in, "rb"),), daemon=True).start()

    def read(self, source):
        """Hands on what comes, to whoever waits for it."""
        held = b""
        while part := source.read1(1 << 20):
            *whole, held = (held + part).split(b"\0")
            for message in map(json.loads, whole):
                if "id" in message:
                    self.answers[message["id"]].put(message)
                elif page := self.pages.get(message.get("sessionId")):
                    page.told(message["method"], message["params"])

    def send(self, method, params=None, session=None):
        """One command, and its result."""
        answer = queue.SimpleQueue()
        with self.lock:
            self.ids += 1
            message = {"id": self.ids, "method": method, "params": params or {}}
            self.answers[self.ids] = answer
            message |= {"sessionId": session} if session else {}
            self.out.write(json.dumps(message).encode() + b"\0")
        try:
            told = answer.get(timeout=LIMIT_S)
        except queue.Empty as error:
            tail = self.process.tail()
            raise Failed(f"{method} is not answered within {LIMIT_S} s\n{tail}") from error
        del self.answers[message["id"]]
        check("error" not in told, f"{method}: {told.get('error')}")
        return told["result"]

    def open(self, url, width=1440, height=900, scheme="light", touch=False):
        """A new page in a window of that size, without what others have kept."""
        context = self.send("Target.createBrowserContext")["browserContextId"]
        asked = {"url": "about:blank", "browserContextId": context}
        target = self.send("Target.createTarget", asked)["targetId"]
        asked = {"targetId": target, "flatten": True}
        page = Page(self, self.send("Target.attachToTarget", asked)["sessionId"], target)
        for domain in ("Page", "Runtime", "Log", "Network", "Performance"):
            page.send(f"{domain}.enable")
        page.size(width, height, touch)
        page.scheme(scheme)
        page.go(url)
        return page


class Page:
    """A page, and what it has told of errors."""

    def __init__(self, browser, session, target):
        self.browser = browser
        self.session = session
        self.target = target
        # What the console says is wrong, refusals by the page's own policy among them.
        self.errors = []
        browser.pages[session] = self

    def send(self, method, params=None):
        """One command, and its result."""
        return self.browser.send(method, params, self.session)

    def told(self, method, params):
        """Keeps what is wrong."""
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            said = details.get("exception", {}).get("description")
            self.errors.append(said or details["text"])
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.errors.append(" ".join(str(arg.get("value")) for arg in params["args"]))
        if method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])

    def size(self, width, height, touch=False):
        """The window's."""
        asked = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
        self.send("Emulation.setDeviceMetricsOverride", asked)

    def scheme(self, scheme):
        """Light or dark, as the system says."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", {"features": features})

    def go(self, url):
        """Another address."""
        self.send("Page.navigate", {"url": url})

    def run(self, expression):
        """What a script returns, awaited."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        told = self.send("Runtime.evaluate", asked)
        check("exceptionDetails" not in told, f"{expression}: {told.get('exceptionDetails')}")
        return told["result"].get("value")

    def wait(self, expression, what, limit_s=LIMIT_S):
        """Waits until a script returns something that is true, and returns after how long."""
        began = time.monotonic()
        while time.monotonic() < began + limit_s:
            # What it asks for may not be there yet.
            if self.run(f"(() => {{ try {{ return Boolean({expression}); }} catch {{}} }})()"):
                return time.monotonic() - began
            time.sleep(0.03)
        seen = self.run("document.body.innerText")
        raise Failed(f"{what}: not within {limit_s} s; the page says\n{seen[:1500]}")

    def key(self, key):
        """Presses a key."""
        text, code = CODES.get(key, (key, ord(key[0].upper())))
        asked = {"key": key, "windowsVirtualKeyCode": code, "text": text}
        down = "keyDown" if text else "rawKeyDown"
        self.send("Input.dispatchKeyEvent", {"type": down, **asked})
        self.send("Input.dispatchKeyEvent", {"type": "keyUp", **asked, "text": ""})

    def type(self, text):
        """Types into whatever has the focus."""
        self.send("Input.insertText", {"text": text})

    def click(self, find):
        """Clicks in the middle of the element that a script returns."""
        box = f"(() => {{ const it = {find}; it.scrollIntoView({{block: 'nearest'}});"
        box += " const r = it.getBoundingClientRect();"
        x, y = self.run(f"{box} return [r.x + r.width / 2, r.y + r.height / 2]; }})()")
        asked = {"x": x, "y": y, "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", {"type": kind, **asked})

    def picture(self):
        """What is seen, as PNG in base64."""
        return self.send("Page.captureScreenshot", {"format": "png"})["data"]

    def metrics(self):
        """Of the page's main thread, by name: seconds of TaskDuration, bytes of JSHeapUsedSize."""
        told = self.send("Performance.getMetrics")["metrics"]
        return {it["name"]: it["value"] for it in told}

    def close(self):
        """Nobody looks at it any more."""
        self.browser.pages.pop(self.session)
        self.browser.send("Target.closeTarget", {"targetId": self.target})


def pipe():
    """Its two ends, beyond the descriptors that the protocol is spoken on."""
    ends = os.pipe()
    high = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return high

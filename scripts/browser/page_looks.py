"""How the page looks: to readers, on narrow screens, in light and dark; and its pictures."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import threading
import time

from harness import REPO, Failed, check
from page_site import BROKEN, BUSY, CLOSED, EMPTY, OTHERS, Caller

AXE = REPO / "hub/page/node_modules/axe-core/axe.min.js"
# Each view, and how to know that it is there.
VIEWS = {
    "names": ("#/", "document.querySelectorAll('table.names tbody tr').length > 10"),
    "name": (f"#/name/{BUSY}", "document.querySelector('.methods td')"),
    "unreachable": (f"#/name/{CLOSED}", "document.querySelector('td.of-state')"),
    "hub": ("#/hub", "document.querySelector('.tiles .value').innerText !== ''"),
    "activity": ("#/activity", "document.querySelector('.status').innerText === 'Live'"),
}
# The smallest screens that are of this time.
NARROW = 360
PHONE = (390, 844)
WIDE = (1280, 800)
# With what is below the numbers of a name.
TALL = (1280, 1240)

# What docs/page.md shows: a view, what its link says beside, colours, the window, the name.
PICTURES = [
    ("names", "", "light", WIDE, "names-light"),
    ("names", "?order=calls", "dark", WIDE, "names-dark"),
    ("names", "", "light", PHONE, "names-narrow"),
    ("name", "", "light", TALL, "name-light"),
    ("name", "", "dark", TALL, "name-dark"),
    ("activity", "", "light", WIDE, "activity-light"),
    ("hub", "", "light", WIDE, "hub-light"),
]


def accessible(run):
    """axe-core finds nothing serious in any view, in light and in dark."""
    run.site.start_closed()
    run.site.call(BUSY)
    axe = AXE.read_text()
    for view, (link, is_there) in VIEWS.items():
        page = run.open(link)
        page.wait(is_there, f"{view} is there")
        page.run(f"{axe}; true")
        check_grave(page, {}, f"{view}, light")
        page.scheme("dark")
        # What a theme changes is colours.
        check_grave(page, {"runOnly": ["color-contrast"]}, f"{view}, dark")
        page.close()


def check_grave(page, what, where):
    """Fails for what axe-core calls serious, or worse."""
    asked = json.dumps(what | {"resultTypes": ["violations"]})
    found = page.run(f"axe.run({asked}).then(({{violations}}) => violations)")
    grave = [it for it in found if it["impact"] in ("serious", "critical")]
    told = [f"{it['id']}: {it['nodes'][0]['html'][:160]}" for it in grave]
    check(not told, f"{where}: {told}")


def narrow(run):
    """Nothing is wider than a narrow screen, and a name's state is under it."""
    run.site.start_closed()
    run.site.call(BUSY)
    for view, (link, is_there) in VIEWS.items():
        page = run.open(link, width=NARROW, height=700, touch=True)
        page.wait(is_there, f"{view} is there")
        wide = page.run("document.documentElement.scrollWidth")
        check(wide <= NARROW, f"{view} is {wide} wide")
        page.close()
    page = run.open(width=NARROW, height=700, touch=True)
    said = "document.querySelector('table.names tbody th')?.innerText"
    page.wait(f"/Offline|Unreachable/.test({said})", "a name's state is under it")


def themes(run):
    """As the system says, until somebody chooses; and the choice is kept."""
    theme = "document.documentElement.dataset.theme"
    page = run.open(scheme="dark")
    page.wait(f"{theme} === 'dark'", "as the system says")
    button = "document.querySelector('.side button')"
    page.wait(button, "the button is there")
    page.click(button)
    page.wait(f"{theme} === 'light'", "as was chosen")
    page.send("Page.reload")
    page.wait(f"{button}?.innerText.includes('light') && {theme} === 'light'", "it is kept")


def write_pictures(browser, site, folder):
    """What docs/page.md shows, with some calls in it."""
    folder.mkdir(parents=True, exist_ok=True)
    done = threading.Event()
    busy = threading.Thread(target=keep_busy, args=(site, done))
    busy.start()
    try:
        # So long that the last minutes are not empty.
        time.sleep(90)
        for view, more, scheme, size, name in PICTURES:
            link, is_there = VIEWS[view]
            page = browser.open(f"http://{site.hub.admin}/{link}{more}", *size, scheme)
            page.wait(is_there, f"{view} is there")
            # Until some lines have come.
            time.sleep(4)
            write_picture(page, folder / f"{name}.png")
            page.close()
    finally:
        done.set()
        busy.join()


def write_picture(page, path):
    """What is seen, with few colours where pngquant is."""
    path.write_bytes(base64.b64decode(page.picture()))
    if quant := shutil.which("pngquant"):
        argv = [quant, "--force", "--strip", "--speed", "1", "--output", path, "64", path]
        if subprocess.run(argv, check=False).returncode:
            raise Failed(f"pngquant does not take {path}")


def keep_busy(site, done):
    """Calls of several names, each at its own rate; one has errors."""
    caller = Caller(site.hub.port)
    turn = 0
    while not done.is_set():
        turn += 1
        for nth, name in enumerate([BUSY, *OTHERS]):
            if turn % (nth + 1) == 0:
                caller.call(name, EMPTY)
        if turn % 16 < 2:
            caller.call(BUSY, BROKEN)
        done.wait(0.02 if turn // 400 % 3 else 0.008)

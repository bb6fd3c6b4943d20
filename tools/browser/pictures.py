"""Takes pictures of parts of a page in a headless browser.

Usage: pictures.py PAGE WIDTH FOLDER NAME=ELEMENT...

Each element, told by its id, is drawn on a screen of that width, light (NAME.png) and dark (NAME~dark.png: so a documentation
compiler finds it).
"""

import base64
import json
import os
import sys

import check

FIND = "JSON.stringify((e => e && (({x, y, width, height}) => ({x: x + scrollX, y: y + scrollY, width, height}))" \
    "(e.getBoundingClientRect()))(document.getElementById(%s)))"


def main(page, width, folder, *names):
    browser = check.Browser()
    try:
        browser.open()
        for scheme, suffix in zip(check.SCHEMES, ("", "~dark")):
            check.show(browser, page, int(width), scheme, True)
            for name, element in (pair.split("=") for pair in names):
                found = browser.call("Runtime.evaluate", expression=FIND % json.dumps(element), returnByValue=True)
                clip = json.loads(found["result"]["value"])
                if not clip:
                    sys.exit(f"{page} has no element {element}")
                check.picture(browser, os.path.join(folder, name + suffix + ".png"), clip)
    finally:
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])

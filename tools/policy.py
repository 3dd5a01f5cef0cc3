"""What the pages of the book may do in a reader's browser: nothing is asked of any other host, and nothing is sent anywhere.

The policy stands in each page, since a folder or a host of plain files cannot send headers. For a page that was opened from a folder
"self" means nothing in some browsers, so `file:` is allowed by name; a page from the web cannot read files all the same.
"""

import re

ALLOWED = {
    "default-src": "'none'",
    # Inline scripts come with the theme and the cells; blob: and WebAssembly are the workers in which the laboratories compute.
    "script-src": "'self' file: blob: 'unsafe-inline' 'wasm-unsafe-eval'",
    "worker-src": "blob:",
    "style-src": "'self' file: 'unsafe-inline'",
    "img-src": "'self' file: data: blob:",
    "font-src": "'self' file: data:",
    "connect-src": "'none'",
    "form-action": "'self' file:",  # the search field, which leads to search.html
    "base-uri": "'none'",
}
POLICY = "; ".join(f"{what} {where}" for what, where in ALLOWED.items())
META = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
THERE = re.compile(r'\s*<meta http-equiv="Content-Security-Policy"[^>]*>')


def with_policy(page: str) -> str:
    """The page with the policy, once, before anything that it is to hold for; the character set stays first."""
    return re.sub(r"(<head>\s*(?:<meta charset=[^>]*>)?)", rf"\1\n    {META}", THERE.sub("", page), count=1)

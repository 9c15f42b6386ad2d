"""Pages around a text, as six kinds of sites write them: what surrounds it is not the text."""

import collections
import html
import random

MENU = ["Home", "About us", "Products", "Contact", "Imprint", "Log in", "Shopping cart", "Jobs"]
RELATED = [
    "Ten gardens to visit this spring",
    "Why your kitchen needs a window",
    "Council approves the new bridge",
    "The best ferries of the north",
    "How to mend a wooden boat",
]
FOOTER = "Copyright 2024 Example Media Ltd. All rights reserved. Privacy policy. Cookie settings."
SCRIPT = "<script>var dataLayer = [{'page': '<div><p>fake</p>'}]; if (1 < 2) { track(); }</script>"
STYLE = "<style>.nav > li { color: red } /* <p>not text</p> */</style>"


def _items(texts):
    return "".join(f'<li class="item"><a href="/x?a=1&amp;b={t[:3]}">{t}</a></li>' for t in texts)


def _paragraphs(paragraphs, tag="p"):
    return "\n".join(f"<{tag}>{html.escape(p, quote=False)}</{tag}>" for p in paragraphs)


def article(title, paragraphs):
    """HTML 5 with elements that say what they are."""
    return f"""<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<title>{title} | Site</title>
{STYLE}{SCRIPT}<link rel="stylesheet" href="a.css"></head><body>
<header><nav><ul>{_items(MENU)}</ul></nav></header>
<main><article><h1>{title}</h1>{_paragraphs(paragraphs)}</article></main>
<aside><h2>Read next</h2><ul>{_items(RELATED)}</ul></aside>
<!-- <p>hidden draft paragraph</p> --><footer><p>{FOOTER}</p></footer>{SCRIPT}</body></html>"""


def blog(title, paragraphs):
    """Boxes with class names."""
    return f"""<!DOCTYPE html><html><head><title>{title}</title></head><body class="single-post">
<div id="header"><div class="menu-main"><ul>{_items(MENU)}</ul></div></div>
<div id="wrapper"><div class="sidebar" id="secondary"><div class="widget">
<h3>Related posts</h3><ul>{_items(RELATED)}</ul></div></div>
<div id="content" class="site-content"><div class="post hentry"><h1 class="entry-title">{title}</h1>
<div class="entry-content">{_paragraphs(paragraphs)}</div></div></div></div>
<div class="cookie-banner"><p>We use cookies to improve this site.</p><button>Accept</button></div>
<div id="footer" class="footer">{FOOTER}</div>{SCRIPT}</body></html>"""


def tables(title, paragraphs):
    """As pages were laid out in 1998: no classes, <font> without end, upper case."""
    menu = "".join(f'<TR><TD><FONT SIZE=2><A HREF="{m[:3]}.htm">{m}</A></TD></TR>' for m in MENU)
    text = "\n".join(f"<P><FONT FACE=Arial>{html.escape(p, quote=False)}" for p in paragraphs)
    return f"""<HTML><HEAD><TITLE>{title}</TITLE></HEAD><BODY BGCOLOR=#FFFFFF>
<TABLE WIDTH=100% BORDER=0><TR><TD WIDTH=120 VALIGN=TOP><TABLE>{menu}</TABLE></TD>
<TD><CENTER><B>{title}</B></CENTER>{text}</TD></TR></TABLE><HR>
<FONT SIZE=1>{FOOTER}</FONT></BODY></HTML>"""


def plain(title, paragraphs):
    """No frame at all, unclosed paragraphs, lines broken anywhere."""
    text = "\n<p>".join(html.escape(p, quote=False).replace(". ", ".\n") for p in paragraphs)
    return f"<html><title>{title}</title><body><h1>{title}</h1><p>{text}"


def forum(title, paragraphs):
    """Posts with names and dates between."""
    posts = "".join(
        f'<div class="post"><div class="author"><a href="/u/{n}">user{n}</a></div>'
        f'<div class="message">{_paragraphs(paragraphs[n::4])}</div></div>'
        for n in range(4)
    )
    return f"""<!doctype html><html><head><title>{title}</title>{SCRIPT}</head><body>
<ul class="navbar">{_items(MENU)}</ul><h1>{title}</h1><div class="thread">{posts}</div>
<div class="footer-links"><ul>{_items(RELATED)}</ul></div><footer>{FOOTER}</footer></body></html>"""


def anonymous(title, paragraphs):
    """As a build tool writes it: boxes in boxes, names that say nothing, links without lists."""
    menu = "".join(f'<div class="css-1x"><a href="/{m[:3]}">{m}</a></div>' for m in MENU)
    related = "".join(f'<div class="css-9"><a href="/{r[:3]}">{r}</a></div>' for r in RELATED)
    return f"""<!doctype html><html><head><title>{title}</title>{STYLE}</head><body><div id="root">
<div class="css-0"><div class="css-1">{menu}</div></div><div class="css-2"><div class="css-3">
<div class="css-4">{title}</div>{_paragraphs(paragraphs, "div")}</div><div class="css-5">{related}
</div></div><div class="css-6"><span>{FOOTER}</span></div></div>{SCRIPT}</body></html>"""


TEMPLATES = [article, blog, tables, plain, forum, anonymous]


def words_found(text: str, truth: str) -> tuple[int, int, int]:
    """Words in both, in the text, and in the truth, each counted as often as it stands there."""
    found, wanted = (collections.Counter(t.lower().split()) for t in (text, truth))
    return (found & wanted).total(), found.total(), wanted.total()


def pages(novels, seed=1, words=(200, 2000)):
    """(template, page, truth) of a passage of each novel; truth is its title and its paragraphs."""
    noise = random.Random(seed)
    for novel in novels:
        paragraphs = novel.text.split("\n")
        start = noise.randrange(max(len(paragraphs) - 50, 1))
        size, passage = noise.randint(*words), []
        while size > 0 and start < len(paragraphs):
            passage.append(" ".join(paragraphs[start].split()))
            size -= passage[-1].count(" ") + 1
            start += 1
        title = novel.source.removesuffix(".txt").replace("_", " ")
        for template in TEMPLATES:
            yield template.__name__, template(title, passage), "\n".join([title, *passage])

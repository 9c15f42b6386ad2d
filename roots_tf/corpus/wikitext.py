r"""Wikitext to text: templates, tables, references, pictures, categories out; links to their text.

What wikitext means is said by https://www.mediawiki.org/wiki/Help:Formatting, Help:Links and
Help:Tables. Templates are not expanded: what they would print is not in the page.
"""

import html
import re

# Elements whose content is no prose of the page, and their tags (Help:Extension tags).
_NO_PROSE = (
    "ref|references|math|chem|ce|gallery|timeline|syntaxhighlight|source|score|hiero|graph|mapframe"
    "|imagemap|templatestyles|templatedata|table|style|noinclude|categorytree|inputbox"
)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,20}+)([^<>]{0,1000}+)>")
_IS_NO_PROSE = frozenset(_NO_PROSE.split("|"))
_BREAKS = {"br", "p", "div", "li", "ul", "ol", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6"}
# Braces of a template argument are braces of a template here; a table stands at a line's beginning.
_BRACKETS = re.compile(r"\{\{+|\}\}+|^[ \t:*#]*\{\||^[ \t]*\|\}(?!\})|\[\[|\]\]", re.MULTILINE)
_EXTERNAL = re.compile(r"\[(?:https?:|ftp:|mailto:)?//[^\s\]\[]++[ \t]*+([^\]\[\n]*+)\]")
_QUOTES = re.compile(r"'{2,}")
_MAGIC_WORD = re.compile(r"__[A-Z]{3,}__")  # Help:Magic words: __NOTOC__
# Languages of several scripts: of -{zh-hans:a; zh-hant:b}- the first.
_VARIANT = re.compile(r"-\{(?:[A-Za-z-]{0,20}+[|:])?([^{}:;|]*+)[^{}]*+\}-")
_LEFT_OPEN = re.compile(r"\[{2,}|\{{2,}")
_EMPTY = re.compile(
    r"(?<![ \t])[ \t]*+[(（][\s,;:，；、]*+[)）]"
)  # what a template leaves: "Rome ( ; ) is"
_MAX_NESTING = 100  # MediaWiki's own limit for templates ($wgMaxTemplateDepth)
# Names of the namespaces File and Category in the largest Wikipedias, of today and before
# (MediaWiki, languages/messages/Messages*.php, NS_FILE and NS_CATEGORY and their aliases).
_FILES = (
    "file image media datei bild fichier archivo imagen immagine bestand afbeelding plik grafika"
    " ficheiro imagem arquivo fil tiedosto kuva soubor súbor fájl kép fișier imagine dosya resim"
    " файл изображение зображення датотека слика файлове αρχείο εικόνα קובץ תמונה ملف صورة پرونده"
    " تصویر चित्र চিত্র ไฟล์ ภาพ tập_tin hình berkas gambar ファイル 画像 파일 그림 文件 檔案 图像"
    " 圖像 fitxer imatge fitxategi irudi dosiero fail attēls vaizdas skrá"
)
_CATEGORIES = (
    "category kategorie catégorie categoría categoria categorie kategoria kategori luokka kategória"
    " kategorija kategoria kategorio kategooria categoría категория категорія категорија κατηγορία"
    " קטגוריה تصنيف رده श्रेणी বিষয়শ্রেণী หมวดหมู่ thể_loại カテゴリ 분류 分类 分類 kategoriya"
    " kategorija flokkur"
)
_NOT_SHOWN = frozenset(f"{_FILES} {_CATEGORIES}".split())
_LANGUAGE_CODE = re.compile(r"[a-z]{2,3}(?:-[a-z]{2,8})*|simple")


def plain_text(page: str) -> str:
    """Text of a page, a paragraph, heading or list item a line.

    >>> plain_text("'''Whales''' are [[mammal]]s.{{cn}}<ref>Ray</ref>\\n* [[Sea|the sea]]")
    'Whales are mammals.\\nthe sea'
    """
    text = _without_tags(_COMMENT.sub("", page))
    text = _without_brackets(text)
    text = _EXTERNAL.sub(r"\1", text)
    text = _QUOTES.sub("", _MAGIC_WORD.sub("", text))
    if "-{" in text:
        text = _VARIANT.sub(r"\1", text)
    text = _EMPTY.sub("", html.unescape(text))
    while _LEFT_OPEN.search(text):  # what went from between two brackets made a pair: `{[[{`
        text = _LEFT_OPEN.sub("", text)
    return "\n".join(_lines(text))


def _without_tags(text: str) -> str:
    """Removes tags, and elements without prose with their content; <br> and the like end a line."""
    kept, copied, skipping = [], 0, ""  # the last: name of the element that is being left out
    missing: set[str] = set()
    for tag in _TAG.finditer(text):
        slash, name, attributes = tag.groups()
        name = name.lower()
        if skipping:
            if slash and name == skipping:
                skipping, copied = "", tag.end()
            continue
        kept.append(text[copied : tag.start()])
        copied = tag.end()
        if name in _BREAKS:
            kept.append("\n")
        elif name in _IS_NO_PROSE and not slash and not attributes.endswith("/"):
            if name not in missing and _end_tag(name, text, copied):
                skipping = name
            else:
                missing.add(name)  # never closed: only its tag goes
    return "".join(kept) + ("" if skipping else text[copied:])


def _end_tag(name: str, text: str, start: int) -> bool:
    """Whether an element is closed further on."""
    return re.compile(rf"</(?i:{name})[^<>]{{0,1000}}>").search(text, start) is not None


def _without_brackets(text: str) -> str:
    """Removes templates and tables, and makes links their text; single brackets are removed."""
    # A stack of what is open: its bracket, and what is kept of the text inside.
    stack: list[tuple[str, list[str]]] = [("", [])]
    open_now = dict.fromkeys(("{{", "{|", "[["), 0)
    copied = 0
    for match in _BRACKETS.finditer(text):
        token = match[0].lstrip(" \t:*#")
        stack[-1][1].append(text[copied : match.start()])
        copied = match.end()
        if token[0] in "{[":
            opening = token[:2]
            for _ in range(min(len(token) // 2, _MAX_NESTING - len(stack))):
                stack.append((opening, []))
                open_now[opening] += 1
            continue
        opening = {"}": "{{", "|": "{|", "]": "[["}[token[0]]
        for _ in range(min(len(token) // 2, open_now[opening])):
            kind, inside = _pop(stack, open_now)
            while kind != opening:  # had no partner
                stack[-1][1].extend(inside)
                kind, inside = _pop(stack, open_now)
            if kind == "[[":
                stack[-1][1].append(_link("".join(inside)))
    stack[-1][1].append(text[copied:])
    return "".join(piece for _, inside in stack for piece in inside)


def _pop(stack: list[tuple[str, list[str]]], open_now: dict[str, int]) -> tuple[str, list[str]]:
    kind, inside = stack.pop()
    open_now[kind] -= 1
    return kind, inside


def _link(inside: str) -> str:
    """The text of a link: empty for a picture, a category or a page in another language."""
    target, bar, label = inside.partition("|")
    prefix, colon, rest = target.partition(":")
    if colon and prefix:
        name = prefix.strip().lower().replace(" ", "_")
        if name in _NOT_SHOWN or (not bar and rest[:1] != " " and _LANGUAGE_CODE.fullmatch(name)):
            return ""
    if not bar:
        return target.removeprefix(":").replace("_", " ")
    return label or target


def _lines(text: str) -> list[str]:
    """Lines without the marks of headings and lists; headings with no text below are left out."""
    kept: list[str] = []
    below = 0  # level of the next heading that is kept; 0 at the end, 7 before other text
    for line in reversed(text.split("\n")):
        line = line.strip()
        if line.startswith("=") and line.endswith("=") and (title := line.strip("=").strip()):
            level = min(len(line) - len(line.lstrip("=")), 6)
            if level < below:
                kept.append(title)
                below = level
            continue
        line = line.lstrip("*#:; \t")
        if line.strip("-| \t!"):
            kept.append(line)
            below = 7
    return kept[::-1]

"""The report of a curation as one page of HTML that needs nothing else, made from `report.json`.

documents and bytes step by step, with the time; languages
a section a step: what it dropped and why, histograms of what it measured with the thresholds,
    what other thresholds would keep, twenty documents it dropped and twenty it kept
near duplicates with their texts side by side; repeated paragraphs; sampling
"""

import difflib
import html
import re

from roots_tf.corpus import histograms
from roots_tf.pages import page
from roots_tf.pages.page import Cell, number, table, text

_NUMBER_OF_LANGUAGES = 40


def render(report: dict) -> str:
    """The page of a report.

    Args:
        report: what `curation.curate` returns, with `seconds`, as JSON values.
    """
    sections = [
        page.Section("flow", "Step by step", _flow(report)),
        page.Section("languages", "Languages", _languages(report)),
    ]
    for place, step in enumerate(report["steps"]):
        sections.append(page.Section(f"step-{place}", f"{place}. {step['name']}", _step(step)))
    for name, title, section in (
        ("near_duplicates", "Near duplicates side by side", _near_duplicates),
        ("repeated_paragraphs", "Most frequent paragraphs", _repeated_paragraphs),
        ("sample_groups", "Sampling", _sampling),
        ("mixture", "Mixture", _mixture),
    ):
        if name in report:
            sections.append(page.Section(name, title, section(report[name])))
    header = f"<h1>{_headline(report)}</h1>{_notices(report)}"
    return page.render("Curation report", header, sections)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.2f}" if abs(size) >= 5000 or not size else "< 0.01"


def _size(size: int) -> Cell:
    return Cell(f'<td class="n">{html.escape(_megabytes(size))}</td>')


def _headline(report: dict) -> str:
    count_in, count_out = report["documents_in"], report["documents_out"]
    share = 100 * count_out / max(count_in, 1)
    return (
        f"{count_out:,} of {count_in:,} documents kept ({share:.1f} %): "
        f"{_megabytes(report['bytes_out'])} of {_megabytes(report['bytes_in'])} MB"
    )


def _notices(report: dict) -> str:
    files = report.get("inputs", {}).get("files")
    origin = [f"Recipe {report['recipe']}"] if "recipe" in report else []
    origin += [f"{files:,} input files"] if files else []
    origin += [f"{report['seconds']:,} s"] if "seconds" in report else []
    notices = f'<p class="soft">{text("; ".join(origin))}</p>'
    if report["sample"]:
        notices += (
            f'<p class="notice">This is a trial on a sample of {report["sample"]:,} documents, '
            "not the corpus.</p>"
        )
    for note, times in report["notes"].items():
        notices += f"<p>{text(_words(note))}: {times:,}</p>"
    return notices


def _words(name: str) -> str:
    return name.replace("_", " ")


def _flow(report: dict) -> str:
    """The table of steps with a bar each: what is left of the documents, what it dropped."""
    whole = max(report["documents_in"], 1)
    rows = []
    for place, step in enumerate(report["steps"]):
        kept, dropped = step["documents_out"], step["documents_in"] - step["documents_out"]
        seconds = step["seconds"]
        bar = (
            '<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="'
            f'{kept:,} kept, {dropped:,} dropped">'
            f'<rect class="kept" width="{100 * kept / whole:.2f}" height="10"/>'
            f'<rect class="dropped" x="{100 * kept / whole:.2f}" '
            f'width="{100 * dropped / whole:.2f}" height="10"/></svg>'
        )
        speed = f"{step['bytes_in'] / 1e6 / seconds:,.1f}" if seconds >= 0.01 else "–"
        rows.append(
            (
                Cell(f'<td><a href="#step-{place}">{text(step["name"])}</a></td>'),
                Cell(f'<td class="bar">{bar}</td>'),
                kept,
                dropped,
                _size(step["bytes_out"]),
                _size(step["bytes_in"] - step["bytes_out"]),
                Cell(f'<td class="n">{seconds:,.1f}</td>'),
                Cell(f'<td class="n">{speed}</td>'),
            )
        )
    head = ("step", "documents", "kept", "dropped", "MB kept", "MB dropped", "seconds", "MB/s")
    lines = table(head, rows).replace("<table>", '<table class="flow">')
    dropped = [
        (_words(reason), counts["documents"], _size(counts["bytes"]))
        for reason, counts in report["dropped"].items()
    ]
    return (
        f"{lines}<p class=soft>Seconds are those of all workers together, MB/s those of one of "
        "them.</p><h3>Dropped, by reason</h3>"
        + (table(("reason", "documents", "MB"), dropped) if dropped else "<p>None.</p>")
    )


def _languages(report: dict) -> str:
    """Documents of the output by language."""
    total = max(report["bytes_out"], 1)
    rows = [
        (code or "not identified", counts["documents"], _size(counts["bytes"]))
        + (round(100 * counts["bytes"] / total, 2),)
        for code, counts in report["languages"].items()
    ]
    shown = table(("language", "documents", "MB", "% of bytes"), rows[:_NUMBER_OF_LANGUAGES])
    if rest := rows[_NUMBER_OF_LANGUAGES:]:
        shown += f"<p>And {len(rest)} more with {sum(row[1] for row in rest):,} documents.</p>"
    return shown


def _step(step: dict) -> str:
    """The section of one step."""
    parts = []
    if step["languages"]:
        parts.append(f"<p>Only for documents in {text(', '.join(step['languages']))}.</p>")
    if step["parameters"]:
        settings = "; ".join(f"{name} = {value}" for name, value in step["parameters"].items())
        parts.append(f'<p class="soft">{text(settings)}</p>')
    counts = [
        (_words(reason), dropped["documents"], _size(dropped["bytes"]))
        + (round(100 * dropped["documents"] / max(step["documents_in"], 1), 2),)
        for reason, dropped in step["dropped"].items()
    ]
    if counts:
        parts.append(table(("dropped as", "documents", "MB", "% of documents"), counts))
    else:
        parts.append(f"<p>Dropped none of {step['documents_in']:,} documents.</p>")
    if (
        changed := step["bytes_in"]
        - step["bytes_out"]
        - sum(dropped["bytes"] for dropped in step["dropped"].values())
    ):
        direction = "shorter" if changed > 0 else "longer"
        size = html.escape(_megabytes(abs(changed)))
        parts.append(f"<p>Documents that stay became {direction}, by {size} MB in all.</p>")
    for note, times in step["notes"].items():
        parts.append(f"<p>{text(_words(note))}: {times:,}</p>")
    for name, groups in step["measures"].items():
        parts.append(f"<h3>{text(_words(name))}</h3>")
        parts += [_measure(name, group, len(groups) > 1) for group in groups]
    for kind in ("dropped", "kept"):
        if samples := step["samples"][kind]:
            parts.append(_samples(kind, samples))
    return "".join(parts)


def _measure(name: str, group: dict, of_several: bool) -> str:
    """A measure's histogram and what other thresholds would keep."""
    histogram, lowest, highest = group["histogram"], group["lowest"], group["highest"]
    total = sum(documents for _, documents in histogram)
    known = ", ".join(code or "not identified" for code in group["languages"])
    about = f"{total:,} documents" + (f" in {known}" if of_several else "")
    if len(histogram) == 1:
        return f"<p>{number(histogram[0][0])} for each of {text(about)}.</p>"
    median = number(histograms.quantile(histogram, 0.5))
    label = f"{_words(name)} of {about}, median {median}"
    shown = f'<p class="soft">{text(about)}; median {median}</p>'
    shown += histograms.draw(histogram, lowest, highest, label)
    if choices := histograms.choices(histogram, lowest, highest):
        rows = [
            (f"{choice.side} {number(choice.value)}", choice.documents)
            + (round(100 * choice.share, 2),)
            for choice in choices
        ]
        head = ("threshold", "would keep", "% of documents")
        inner = table(head, rows, [choice.chosen for choice in choices])
        shown += (
            f"<details><summary>What other thresholds would keep</summary>{inner}<p class=soft>By "
            "this measure alone; values are rounded down to hundredths, above 1 to two digits."
            "</p></details>"
        )
    return shown


def _samples(kind: str, samples: list[dict]) -> str:
    """Documents that a step kept or dropped, chosen at random."""
    articles = []
    for sample in samples:
        reason = sample.get("reason", "")
        about = [f'<span class="reason">{text(_words(reason))}</span>'] if reason else []
        about += [text(sample["source"])] + (
            [text(sample["language"])] if sample["language"] else []
        )
        about += [
            f"{text(_words(name))} {number(value)}" for name, value in sample["measured"].items()
        ]
        articles.append(
            f'<article><p class="about">{" · ".join(about)}</p>'
            f'<div class="text" dir="auto">{text(sample["text"])}</div></article>'
        )
    return (
        f"<details><summary>{len(samples)} documents it {kind}, chosen at random</summary>"
        f"{''.join(articles)}</details>"
    )


def _near_duplicates(report: dict) -> str:
    """Counts of the clusters; then some of them, each document beside the one that is kept."""
    counts = [
        (_words(name), report[name])
        for name in ("candidate_pairs", "verified_pairs", "clusters", "dropped_documents")
    ]
    sizes = [(int(size), number) for size, number in report["cluster_sizes"].items()]
    lowest = report["limits"]["jaccard"][1]
    shown = table(("", "number"), counts)
    if sizes:
        shown += "<h3>Documents of a cluster</h3>" + table(("documents", "clusters"), sorted(sizes))
    pairs = sorted((float(value), number) for value, number in report["jaccard"].items())
    if pairs:
        title = "Jaccard similarity of the candidate pairs"
        shown += f"<h3>{title}</h3>{histograms.draw(pairs, lowest, None, title)}"
    for place, (kept, *others) in enumerate(report["samples"]):
        shown += (
            f"<details{' open' if place == 0 else ''}><summary>{len(others) + 1} documents like "
            f"{text(kept['source'])}</summary>"
        )
        for other in others:
            left, right = differences(kept["text"], other["text"])
            shown += (
                f'<article><div class="beside"><div><p class="about">kept · {text(kept["source"])}'
                f'</p><div class="text" dir="auto">{left}</div></div><div><p class="about">dropped '
                f"· {text(other['source'])} · similarity {other['jaccard']:.2f}</p>"
                f'<div class="text" dir="auto">{right}</div></div></div></article>'
            )
        shown += "</details>"
    return shown


def differences(kept: str, dropped: str) -> tuple[str, str]:
    """`kept` and `dropped` as HTML; words of the first alone are `del`, of the second alone `ins`.

    >>> differences("a red fox", "a blue fox")
    ('a <del>red</del> fox', 'a <ins>blue</ins> fox')
    """
    left, right = (re.split(r"(\s+)", value) for value in (kept, dropped))
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    sides: tuple[list[str], list[str]] = ([], [])
    for kind, *places in matcher.get_opcodes():
        for side, words, tag, (first, last) in zip(
            sides, (left, right), ("del", "ins"), (places[:2], places[2:]), strict=True
        ):
            if words[first:last]:
                piece = text("".join(words[first:last]))
                side.append(piece if kind == "equal" else f"<{tag}>{piece}</{tag}>")
    return "".join(sides[0]), "".join(sides[1])


def _repeated_paragraphs(report: dict) -> str:
    """Counts, and the paragraphs that most documents share."""
    names = ("paragraphs", "repeated_paragraphs", "documents_changed", "chars_removed")
    shown = table(("", "number"), [(_words(name), report[name]) for name in names])
    frequent = [(line["documents"], line["text"]) for line in report["most_frequent"]]
    return shown + (table(("documents", "paragraph"), frequent) if frequent else "")


def _sampling(report: dict) -> str:
    """Groups of documents and the share that is kept of each."""
    rows = [
        (group["language"] or "any", group["source"] or "any", group["documents"])
        + (float(f"{group['rate']:.3g}"), group["kept"])
        for group in report["groups"]
    ]
    return table(("language", "source", "documents", "rate", "kept"), rows)


def _mixture(report: dict) -> str:
    """Sources, their shares, and what is kept of each."""
    names = ("source", "documents", "bytes", "share", "rate", "kept", "kept_bytes")
    return table(
        tuple(map(_words, names)), [[part[n] for n in names] for part in report["sources"]]
    )

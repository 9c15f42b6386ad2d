"""LaTeX's commands out of a text: what they mark stays, what only steers the printing goes."""

import re

MATH = "equation|align|alignat|gather|multline|eqnarray|displaymath|math|flalign|split|cases"
_SIGN = re.compile(
    r"\\(?:documentclass|usepackage|(?:sub){0,2}section|chapter|paragraph|textbf|textit|emph|cite[a-z]{0,6}"
    r"|begin|footnote|caption|label)\*?[{\[]|\\item(?=[ \[])"
)
_VERBATIM = re.compile(r"\s{0,12}\\begin\{(verbatim\*?|Verbatim|lstlisting|minted)\}")
_PREAMBLE = re.compile(r"\\documentclass.{0,20000}?\\begin\{document\}", re.DOTALL)
_TITLE = re.compile(r"\\title\{([^{}]{1,500})\}")
_COMMENT = re.compile(r"(?<!\\)%[^\n]{0,2000}$\n?", re.M)
_ENVIRONMENT = re.compile(
    r"\\(?:begin|end)\{[A-Za-z]{1,30}\*?\}(?:\[[^\]\n]{0,200}\]|\{[^{}\n]{0,200}\}){0,3}[ \t]*\n?"
)
_GONE = (
    "cite[a-z]{0,6}|ref|eqref|autoref|cref|pageref|label|includegraphics|bibliography|bibliographystyle|"
    "usepackage|input|include|vspace|hspace|setlength|pagestyle|thispagestyle|graphicspath|index|"
    "setcounter|addtocounter|newpage|documentclass"
)
_DROPPED = re.compile(
    rf"[ ~]?\\(?:{_GONE})(?![A-Za-z])\*?"
    r"(?:\[[^\]\n]{0,300}\]){0,2}(?:\{[^{}]{0,500}\}){0,2}"
)
_DEFINED = re.compile(r"^\\(?:re)?newcommand.{0,500}$\n?|^\\def\\.{0,500}$\n?", re.M)
_HREF = re.compile(r"\\href\{[^{}]{0,500}\}\{([^{}]{0,500})\}")
_COMMAND = re.compile(r"\\[A-Za-z]{1,30}\*?(?:\[[^\]\n]{0,300}\]){0,2}\{([^{}]{0,3000})\}")
_LETTERS = {
    r"\ldots": "…", r"\dots": "…", r"\LaTeX": "LaTeX", r"\TeX": "TeX", r"\S": "§",
    r"\textbackslash": "\\", r"\quad": " ", r"\qquad": " ",
}  # fmt: skip
_BARE = re.compile(r"\\([A-Za-z]{1,30})\*?(?![A-Za-z{])[ \t]?")
_ESCAPED = re.compile(r"\\([%&#_{}$])")
_BREAK = re.compile(r"\\\\(?:\[[^\]\n]{0,20}\])?[ \t]*\n?")
_DEPTH = 12  # of commands in one another
_WRAPPED = re.compile(
    r"\A(?:\$\$?|\\\[|\\\(|\\begin\{[^}]{1,30}\})(.*?)(?:\$\$?|\\\]|\\\)|\\end\{[^}]{1,30}\})\Z",
    re.DOTALL,
)


def is_latex(text: str) -> bool:
    """Whether a text has commands of LaTeX's documents; formulas alone do not count."""
    return "\\" in text and any(
        not re.match(rf"\\begin *\{{(?:{MATH})\*?\}}", text[match.start() : match.start() + 40])
        for match in _SIGN.finditer(text)
    )


def verbatim(line: str) -> str:
    """How the environment that begins in a line ends, if it holds code as it is; else empty."""
    match = _VERBATIM.match(line)
    return f"\\end{{{match[1]}}}" if match else ""


def inside(formula: str) -> str:
    """A formula without dollars, brackets or environment around it.

    Args:
        formula: for example `$x^2$`.
    """
    match = _WRAPPED.match(formula)
    return match[1].strip() if match else formula


def strip(text: str) -> str:
    r"""The prose of a LaTeX text.

    >>> strip(r"\section{One} We \emph{show} it~\cite{a} to 5\% of \textbf{\textit{all}}.")
    'One We show it to 5% of all.'

    Args:
        text: with its formulas taken out.
    """
    text = _PREAMBLE.sub(lambda match: "\n".join(_TITLE.findall(match[0])), text)
    text = _DEFINED.sub("", _COMMENT.sub("", text))
    text = _ENVIRONMENT.sub("", text)
    text = _HREF.sub(r"\1", _DROPPED.sub("", text))
    for _ in range(_DEPTH):
        text, changed = _COMMAND.subn(r"\1", text)
        if not changed:
            break
    text = _BREAK.sub("\n", text)
    text = re.sub(r"(?<!\\)&", " ", text)
    text = _BARE.sub(lambda match: _LETTERS.get("\\" + match[1], ""), text)
    text = re.sub(r"(?<!\\)[{}]", "", text)
    text = text.replace("``", "“").replace("''", "”").replace("~", " ")
    return _ESCAPED.sub(r"\1", text)

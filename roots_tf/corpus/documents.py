"""What passes between the steps of a curation: a document, and what a step is."""

from typing import NamedTuple, Protocol

from roots_tf.storage import schema


class Document(NamedTuple):
    """A text and where it comes from."""

    text: str
    source: str  # the source field of its record, its URL, page title, or the file's name
    language: str = ""  # ISO 639-1 code where there is one, else 639-3; "": not identified
    markup: str = ""  # what `text` is written in until it is extracted: "html", "wikitext" or ""
    metadata: str = ""  # a JSON object (url, date, title, ...) as text; "": none


def share(default: float):
    """A parameter that is a share of 1; one without bounds of its own is 0 or more."""
    return schema.number(default, minimum=0, maximum=1)


class DocumentStep(Protocol):
    """A step that needs one document at a time: a frozen dataclass whose fields are its parameters.

    It may also have `limits(language)`: for each measure the lowest and the highest value that is
    kept, `-inf` and `inf` where there is no limit.
    """

    def __call__(self, document: Document, measured: dict[str, float]) -> Document | str:
        """Changes or drops a document.

        Args:
            document: as the step before left it.
            measured: the step adds what it measures, by name: shares of 1, counts, lengths.

        Returns:
            The document, changed or not; or the reason to drop it, a short word.
        """
        ...

"""A text that can not be printed."""

from __future__ import annotations

import hmac
from typing import Any, Final, NoReturn

_MASK: Final = "Secret(…)"


class Secret:
    """
    A password, key or token.

    It shows itself as `Secret(…)` in `str`, `repr`, format strings and logs, and refuses to be pickled or
    copied into a document. Only `reveal` gives the text; only `auditor.fetcher.auth` calls it.
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """Return the text itself, to be sent to the token endpoint and nowhere else."""
        return self.__text

    def __repr__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(
            self.__text.encode("utf-8", "surrogatepass"), other.__text.encode("utf-8", "surrogatepass")
        )

    __hash__ = None  # type: ignore[assignment]  # a secret is no key

    def __bool__(self) -> bool:
        return bool(self.__text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret can not be pickled")

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self


class Concealed:
    """
    What must not be shown, in every spelling in which it is sent, as it becomes known in the course of a run.

    A call gives a text without it: a server may repeat what it was sent.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []

    def learn(self, text: str) -> None:
        """Conceal a text from now on, if it is long enough not to stand in every other word."""
        if len(text) > 3 and text not in self._texts:
            # The longest first: one may be a part of another.
            self._texts = sorted([*self._texts, text], key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return a text without anything that is to be concealed."""
        for secret in self._texts:
            text = text.replace(secret, "(concealed)")
        return text

    def __repr__(self) -> str:
        return f"Concealed({len(self._texts)})"

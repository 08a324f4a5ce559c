"""Names as people search for them: without case and accents. Not in SQL, where SQLite knows the letters of ASCII only."""

import unicodedata


def folded(text: str) -> str:
    """`emile`, of `Émile`."""
    return "".join(one for one in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(one))

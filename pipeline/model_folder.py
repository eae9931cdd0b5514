"""The files of a model folder, each read once: its problems are noted, its digest is kept."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from config.problems import Problem
from pipeline import weights

FETCH = "copy the model folder again, whole"


class ModelFolder:
    """Reads what it is asked for and never raises: what is wrong stands in `problems`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[Problem] = []
        self._digests: dict[str, bytes] = {}  # by relative name

    def fingerprint(self) -> str:
        """One digest over the names and contents of all that was read."""
        lines = [f"{name}\0{digest.hex()}\n" for name, digest in sorted(self._digests.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def note(self, name: str, what: str, advice: str = FETCH) -> None:
        """Something to mend in the file or folder of that relative name."""
        self.problems.append(Problem(str(self.path / name), what, advice))

    def has(self, name: str) -> bool:
        """Whether there is a file or folder of that relative name."""
        return (self.path / name).exists()

    def files_in(self, name: str) -> set[str]:
        """The names of the visible files in a folder; none, and noted, if it cannot be listed."""
        try:
            entries = [entry for entry in (self.path / name).iterdir() if entry.is_file()]
        except (FileNotFoundError, NotADirectoryError):
            self.note(name, "the folder is missing")
            return set()
        except OSError as error:
            self._note_unreadable(name, error)
            return set()
        return {entry.name for entry in entries if not entry.name.startswith(".")}

    def json_object(self, name: str) -> dict[str, object] | None:
        """The JSON object in a file; None, and noted, if there is none."""
        content = self.content(name)
        if content is None:
            return None
        try:
            written = json.loads(content)
        except ValueError as error:
            self.note(name, f"it is no JSON ({error})")
            return None
        if not isinstance(written, dict):
            self.note(name, "it holds no JSON object")
            return None
        return written

    def content(self, name: str) -> bytes | None:
        """The bytes of a file; None, and noted, if it cannot be read."""
        try:
            content = (self.path / name).read_bytes()
        except FileNotFoundError:
            self.note(name, "it is missing")
            return None
        except OSError as error:
            self._note_unreadable(name, error)
            return None
        self._digests[name] = hashlib.sha256(content).digest()
        return content

    def weigh(self, name: str) -> None:
        """Look at a safetensors file's header and ends; noted if it is not whole."""
        try:
            self._digests[name] = weights.read(self.path / name).digest()
        except FileNotFoundError:
            self.note(name, "it is missing")
        except OSError as error:
            self._note_unreadable(name, error)
        except weights.BrokenWeightsError as error:
            self.note(name, str(error))

    def _note_unreadable(self, name: str, error: OSError) -> None:
        advice = f"let everybody read the model: chmod -R a+rX '{self.path}'"
        self.note(name, f"it cannot be read ({error.strerror})", advice)

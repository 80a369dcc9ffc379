"""Reading a service's configuration from the environment, all faults at once."""

from collections.abc import Mapping
from pathlib import Path


class ConfigError(Exception):
    """The configuration is unfit to start with; ``faults`` lists every reason."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class Env:
    """Typed look-ups in a mapping of environment variables.

    Each look-up returns a value of its type in any case and notes a fault where there was none to
    return, so that an operator sees every fault in one go: call ``check()`` when all is read.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._faults: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """Return the text of ``name``; it is required when there is no default."""
        value = self._values.get(name, "")
        if value:
            return value
        if default is None:
            self._faults.append(f"{name} is not set")
        return default or ""

    def integer(self, name: str, default: int, *, minimum: int = 0) -> int:
        """Return a whole number, at least ``minimum``."""
        try:
            value = int(self._values.get(name) or default)
        except ValueError:
            self._faults.append(f"{name} must be a whole number")
            return default
        if value < minimum:
            self._faults.append(f"{name} must be at least {minimum}")
        return value

    def number(self, name: str, default: float, *, minimum: float = 0.0) -> float:
        """Return a number, at least ``minimum``."""
        try:
            value = float(self._values.get(name) or default)
        except ValueError:
            self._faults.append(f"{name} must be a number")
            return default
        if not value >= minimum:
            self._faults.append(f"{name} must be at least {minimum}")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """Return a switch: 1/true/yes/on or 0/false/no/off."""
        text = (self._values.get(name) or str(default)).lower()
        if text in {"1", "true", "yes", "on"}:
            return True
        if text not in {"0", "false", "no", "off"}:
            self._faults.append(f"{name} must be true or false")
        return False

    def path(self, name: str, default: str | None = None) -> Path:
        """Return an absolute path."""
        return Path(self.text(name, default) or ".").expanduser().resolve()

    def items(self, name: str, default: str = "") -> tuple[str, ...]:
        """Return the parts of a comma-separated list, without empty ones."""
        return tuple(p.strip() for p in self._values.get(name, default).split(",") if p.strip())

    def fault(self, text: str) -> None:
        """Note a fault that the service itself found."""
        self._faults.append(text)

    def check(self) -> None:
        """Raise ``ConfigError`` when anything was amiss."""
        if self._faults:
            raise ConfigError(self._faults)

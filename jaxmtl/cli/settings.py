"""All options of a run in one value that JSON keeps, composed of the parts of the rooms below."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from jaxmtl._options import Option, Options, check_all, check_names, check_value, declared
from jaxmtl.data.options import FoldOptions, ReadingOptions
from jaxmtl.methods.study.options import PairOptions

BUILT_IN_FEATURES = ("SO2", "CO", "NO2", "PM10")
BUILT_IN_TARGETS = ("PM2.5", "O3_8h")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings(PairOptions, FoldOptions, ReadingOptions):
    """Options of ``jaxmtl fit``; the defaults are the preset "study".

    A value of it is one of every part as well: a function that takes ``ReadingOptions`` takes it.

    Example:
        >>> Settings().complete().hard_epochs
        480
    """

    table: Annotated[
        str | None,
        Option(
            help="Workbook (.xlsx) or text table (.csv).", shown="built-in data", positional=True
        ),
    ] = None

    def with_options(self, **given: Any) -> "Settings":
        """Other values for some options; what depends on them is worked out anew."""
        options = declared(Settings).values()
        anew = {one.name: None for one in options if one.option.is_affected_by(given)}
        return dataclasses.replace(self, **(anew | given))

    def complete(self) -> "Settings":
        """Fills in what is left to be worked out, and checks everything.

        Raises:
            ValueError: an option is out of range or does not fit another.
        """
        whole = self
        if self.table is None:
            whole = dataclasses.replace(
                self,
                features=BUILT_IN_FEATURES if self.features is None else self.features,
                targets=BUILT_IN_TARGETS if self.targets is None else self.targets,
            )
        source = self.table or "the built-in data"
        for name, value in (("features", whole.features), ("targets", whole.targets)):
            if not value:
                flag = declared(Settings)[name].flag
                raise ValueError(
                    f"{flag}: expected names of columns of {source}, got none; name them as in "
                    f"{flag} A,B"
                )
        missing = {
            one.name: one.option.derive(whole)
            for one in declared(Settings).values()
            if one.option.derive is not None and getattr(whole, one.name) is None
        }
        whole = dataclasses.replace(whole, **missing)
        check_all(whole)
        return whole

    def to_json(self) -> dict[str, Any]:
        """As lists, texts and numbers."""
        return {"table": self.table} | dataclasses.asdict(self)


def settings_from_json(saved: Mapping[str, Any]) -> Settings:
    """Reads what ``Settings.to_json`` gave, perhaps edited by hand.

    Args:
        saved: from ``config.json``.

    Returns:
        The settings.

    Raises:
        ValueError: an unknown option, a value of another type, or one out of bounds.

    Example:
        >>> settings_from_json(Settings().to_json()) == Settings()
        True
        >>> settings_from_json({"nodse": 3})
        Traceback (most recent call last):
            ...
        ValueError: settings: there is no option 'nodse' (did you mean 'nodes'?)
    """
    check_names(saved, Settings)
    options = declared(Settings)
    return Settings(
        **{name: check_value(options[name], value, saved=True) for name, value in saved.items()}
    )


def check_used(given: Collection[str], used: Collection[type[Options]], by: str) -> None:
    """Refuses options that would change nothing.

    Args:
        given: names of the options that were given.
        used: parts that are used.
        by: what uses them, as the user named it: "--method ridge".

    Raises:
        ValueError: an option of a part that is not used.

    Example:
        >>> from jaxmtl.methods.study.options import StudyOptions
        >>> check_used({"nodes": 4, "table": "a.csv"}, [StudyOptions], "--method mmoe")
        >>> check_used({"nodes": 4, "table": "a.csv"}, [], "--method ridge")
        Traceback (most recent call last):
            ...
        ValueError: --nodes: only for networks; --method ridge has none; leave it out
    """
    for one in map(declared(Settings).__getitem__, given):
        part = one.part
        if part is None or part.only_for is None or "only_for" not in vars(part):
            continue
        if not any(issubclass(other, part) for other in used):
            raise ValueError(f"{one.flag}: only for {part.only_for}; {by} has none; leave it out")

"""Which outputs a place wants, by one word: built-in profiles, and a site's own from a TOML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from triplenet.errors import BadSite, PathMissing, UnknownName
from triplenet.outputs.output_formats import DEFAULT, FORMATS
from triplenet.toml_text import NotToml, read_toml

ALL = "all"
TABLE = "site"
Profiles = Mapping[str, tuple[str, ...]]
NO_PROFILES: Profiles = MappingProxyType({})
PROFILES: Profiles = {
    "archive": ("seg", "pm", "sr"),
    "pacs": ("sc", "gsps", "kos", "sr"),
    ALL: tuple(FORMATS),
}
"""``archive``: what research and later readers need, with all values. ``pacs``: what most viewers of hospitals show. Of
a result that is no DICOM, ``all`` is refused: it lists every format"""


def resolved(names: Sequence[str], site: Path | str | None = None) -> tuple[str, ...]:
    """The formats that are meant by names of formats and of profiles, each once, in the order in which they come.

    :param site: a TOML file with the site's own profiles, see :func:`read_site`
    :raises BadSite, PathMissing: it cannot be used
    :raises UnknownName: neither a format nor a profile
    """
    profiles = {**PROFILES, **(NO_PROFILES if site is None else read_site(site))}
    for name in names:
        if name not in FORMATS and name not in profiles:
            known = ", ".join((*FORMATS, *profiles))
            raise UnknownName("unknown output", where=repr(name), do=f"choose from {known}")
    formats = [name for asked in names for name in profiles.get(asked, (asked,))]
    return tuple(dict.fromkeys(formats))


def read_site(path: Path | str) -> Profiles:
    """A site's own profiles from the table ``[site]`` of a TOML file: a list of formats, or of profiles, each.

        [site]
        ours = ["archive", "json", "png"]

    :raises PathMissing: there is no such file
    :raises BadSite: it is no TOML, has no such table, or names what does not exist
    """
    path = Path(path)
    if not path.is_file():
        raise PathMissing("no such file of site profiles", where=path)
    try:
        values = read_toml(path)
    except (OSError, NotToml) as error:
        raise BadSite(f"the site profiles are no TOML text ({error})", where=path) from None
    table = values.get(TABLE)
    if not isinstance(table, dict) or not table:
        raise BadSite(f"no table [{TABLE}] of profiles", where=path, do='write [site] and below it ours = ["seg"]')
    return {name: _profile(name, listed, path) for name, listed in table.items()}


def _profile(name: str, listed: object, path: Path) -> tuple[str, ...]:
    if name in FORMATS or name in PROFILES:
        raise BadSite(f"a profile is called {name!r}, as an output of triplenet is", where=path, do="rename it")
    if not isinstance(listed, list) or not listed or not all(isinstance(one, str) for one in listed):
        raise BadSite(f"the profile {name!r} is no list of outputs", where=path, do=f"write {name} = {list(DEFAULT)}")
    formats = tuple(one for asked in listed for one in PROFILES.get(asked, (asked,)))
    unknown = [one for one in formats if one not in FORMATS]
    if unknown:
        raise BadSite(
            f"the profile {name!r} lists the unknown output {unknown[0]!r}",
            where=path,
            do=f"choose from {', '.join((*FORMATS, *PROFILES))}",
        )
    return tuple(dict.fromkeys(formats))

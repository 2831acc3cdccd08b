"""The keys of sources of a recipe that are more than files: settings of their own beside the key of the format."""

import re
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from mmedc.recipe_parts import Files, SourceConfig
from mmedc.settings import Bytes, InputPath, InputPaths, Part, Shape
from mmedc.sitelists import list_file

CONTACT = re.compile(r"https?://[^\s/@]+\.[^\s/@]+(/\S*)?|(mailto:)?[^\s@]+@[^\s@]+\.[^\s@]+")

ADDRESS = re.compile(r"(?:^|/)(https?):/{1,2}([^/\s].*)")
"""The address of a site where a path is expected, whose slashes may have been joined."""


class KeyedSource(SourceConfig):
    """A source whose format has settings of its own; the key of the format is a field, named by `key`."""

    model_config = ConfigDict(extra="forbid")
    key: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        for name in value if isinstance(value, dict) else ():
            if name not in cls.model_fields:
                near = get_close_matches(str(name), cls.model_fields, 1)
                raise ValueError(f'unknown key "{name}"' + (f'; did you mean "{near[0]}"?' if near else ""))
        return value

    @model_validator(mode="after")
    def _one_format(self) -> "KeyedSource":
        return self

    @property
    def format(self) -> str:
        """The key that names the files of this source."""
        return self.key


class CrawlSource(KeyedSource):
    """A source that is crawled: the pages of the sites in a list, fetched politely and stored as WARC files."""

    key = "crawl"

    crawl: Files
    """Lists of sites, such as `filters/fr/sites.txt`. A crawl begins at them, and visits nothing else."""
    contact: str = ""
    """Required: a URL or mail address that tells the owner of a site who crawls. It is sent with every request."""
    unlicensed: bool = False
    """Whether sites whose licence is `unknown` in the list are crawled too."""
    max_pages: Annotated[int, Field(gt=0)] = 10_000
    """Pages that are fetched for this source at most. A larger number goes on with the same crawl."""
    host_pages: Annotated[int, Field(gt=0)] = 2_000
    """Pages that are fetched from one host at most."""
    depth: Annotated[int, Field(ge=0)] = 16
    """Links from the start of a site to a page at most."""
    delay_s: Annotated[float, Field(ge=0)] = 1.0
    """Seconds between two requests to a host at least. The host's own robots.txt may ask for more."""
    page_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds that one page may take; it is cut off then."""
    opt_outs: Literal["honour", "record"] = "honour"
    """Whether pages whose owner reserves them are left out, or kept with that on record. See the how-to."""
    again: Annotated[str, Field(pattern=r"[\w.-]{0,40}")] = ""
    """A label such as `2026-12`. A new one visits known pages again, and fetches those that have changed."""
    revisit: Literal["all", "due"] = "all"
    """Which pages a new label in `again` visits: all, or those that are due by age and changes."""
    sets: Annotated[int, Field(gt=0, le=1024)] | None = None
    """The number of processes that share the hosts; by default one for each 200 sites. Fixed by the first run."""
    segment: Bytes = 256 * 2**20
    """The size at which a WARC file is closed and the next is begun; each is a unit of ingest."""
    hosts_file: InputPath | None = None
    """A file in the form of `/etc/hosts` whose addresses replace those of DNS; the address may have a port."""
    private: tuple[str, ...] = ()
    """Hosts that may have private addresses, by name. Those in `hosts_file` may too."""

    @model_validator(mode="after")
    def _contact(self) -> "CrawlSource":
        if not CONTACT.fullmatch(self.contact):
            found = f'"{self.contact}" is neither a URL nor a mail address' if self.contact else "it is missing"
            raise ValueError(
                f"contact: {found}; give a URL or mail address that tells the owner of a site who crawls, such as "
                '`contact: "https://example.org/our-crawler"`'
            )
        for path in self.crawl:
            if address := ADDRESS.search(path):
                raise ValueError(
                    f"crawl: {address[1]}://{address[2]} is a site; write it into a file, one a line, and name that"
                )
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        """The lists of sites; one that ships is found by its name."""
        return tuple(str(list_file(path)) for path in self.crawl)


class CommonCrawl(Part):
    """Which captures of an archive are fetched."""

    index: Files
    """Its index: Parquet with the columns of Common Crawl's columnar index, or CDXJ. Local, `s3://`, or `https://`."""
    hosts: InputPaths = ()
    """Lists of sites, one a line, whose captures are wished for; those of all sites without one."""
    unlicensed: bool = False
    """Whether to use sites of these lists whose licence is `unknown`, too."""
    languages: tuple[Annotated[str, Shape("[a-z]{3}", "three letters of ISO 639-3, such as fra")], ...] = ()
    """Languages of captures by ISO 639-3, as the index has them (`fra`, `zho`); all without any."""
    mime: Annotated[tuple[str, ...], Field(min_length=1)] = ("text/html", "application/xhtml+xml")
    """Media types of captures, as the archive detected them; `application/pdf` for books and articles."""
    warcs: InputPath = "https://data.commoncrawl.org"
    """Where the WARC files are that the index names: an `https://` or `s3://` URL, or a folder."""


class CommonCrawlSource(KeyedSource):
    """Captures of Common Crawl, chosen by its index and fetched record by record."""

    key = "commoncrawl"

    commoncrawl: CommonCrawl
    """Which captures are fetched, and from where."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The files of the index."""
        return self.commoncrawl.index


KEYED: tuple[type[KeyedSource], ...] = (CrawlSource, CommonCrawlSource)
"""The sources with settings of their own, each known by its key."""


def _by_key(value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> SourceConfig:
    for kind in KEYED if isinstance(value, dict) else ():
        if kind.key in value:
            return kind.model_validate(value, context=info.context)
    if isinstance(value, SourceConfig):
        return value
    made: SourceConfig = handler(value)
    return made


AnySource = Annotated[
    SourceConfig, WrapValidator(_by_key, json_schema_input_type=SourceConfig | CrawlSource | CommonCrawlSource)
]
"""A source of any format; one with settings of its own is recognised by its key."""
SOURCE_KEYS = (
    *SourceConfig.model_fields,
    *(name for kind in KEYED for name in kind.model_fields if name not in {*SourceConfig.model_fields, kind.key}),
)
"""All keys of sources but those that name files."""

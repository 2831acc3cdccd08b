"""Lists of sites: what a linguist writes, what is refused, and what ships."""

import pytest

from mmedc.errors import PolicyError
from mmedc.filters import open_filters
from mmedc.shipped import shipped
from mmedc.sitelicences import Licences, licences_of
from mmedc.sitelists import Site, list_file, numbered_sites, problems_of, read_sites

LISTS = sorted(shipped("filters").glob("*/sites.txt"))


def written(tmp_path, text: str) -> str:
    file = tmp_path / "sites.txt"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_sites_are_read(tmp_path) -> None:
    path = written(
        tmp_path,
        "# clinics\nhealth.example.org/es/ | CC-BY-4.0 | 2026-11-30 https://health.example.org/terms | for patients\n"
        "http://Clinic.example.net:8080/a#b  # bare\nother.example.org | unknown | unverified | large\n",
    )
    first, second = read_sites(path)
    assert first == Site(
        "health.example.org/es/", "CC-BY-4.0", "2026-11-30 https://health.example.org/terms", "for patients"
    )
    assert (first.url, first.host, first.path) == ("https://health.example.org/es/", "health.example.org", "/es/")
    assert (second.host, second.path, second.licensed) == ("clinic.example.net", "/a#b", True)
    assert [site.place for site in read_sites(path, unlicensed=True)][2] == "other.example.org"
    assert Site("a.org").url == "https://a.org/"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("not a host", r'sites\.txt:2: "not a host" is no site; expected host or address'),
        ("a.org | CC0-1.0 | soon | why", r'sites\.txt:2: "soon" is no date; expected one such as'),
        ("a.org | b | unverified | c | d", r"sites\.txt:2: .* is no site"),
        ("localhost", "is no site"),
        ("https://first.org/", r"sites\.txt:2: .* stands on line 1 too"),
    ],
)
def test_mistakes_are_reported_with_their_line(tmp_path, line: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        read_sites(written(tmp_path, f"first.org\n{line}\n"))


def test_what_is_missing_is_reported(tmp_path) -> None:
    path = written(tmp_path, "a.org\nb.org | CC0-1.0 | unverified\nc.org | CC0-1.0 | unverified | why\n")
    found = problems_of(list_file(path))
    assert [problem.split(": ")[1].split(";")[0] for problem in found] == [
        "a.org has no licence",
        "b.org has no reason",
    ]


def test_every_language_has_sites_and_each_says_what_is_known() -> None:
    assert {file.parent.name for file in LISTS} == set(open_filters().languages())
    for file in LISTS:
        assert not problems_of(file)
        sites = [site for _, site in numbered_sites(file)]
        assert len(sites) >= 8 and sum(site.licensed for site in sites) >= 2, file
        assert len(read_sites(f"filters/{file.parent.name}/sites.txt")) == sum(site.licensed for site in sites)


@pytest.mark.parametrize(
    ("url", "licence"),
    [
        ("https://www.clinic.example/a", "CC-BY-4.0"),
        ("http://de.clinic.example:8080/", "CC-BY-4.0"),
        ("https://clinic.example/open/b", "public domain"),
        ("https://de.clinic.example/open/b", "CC-BY-4.0"),
        ("https://institute.example/open/b", "CC0-1.0"),
        ("https://institute.example/", None),
        ("https://institute.example/opening-hours", None),
        ("https://unknown.example/", None),
        ("not an address", None),
    ],
)
def test_the_longest_address_with_a_licence_decides(url: str, licence: str | None) -> None:
    listed = [
        Site("clinic.example", "CC BY 4.0", "2026-11-30 https://clinic.example/terms"),
        Site("www.clinic.example/open/", "public domain"),
        Site("institute.example/open", "CC0-1.0"),
        Site("unknown.example", "unknown"),
        Site("bare.example"),
    ]
    found = Licences(licences_of(listed)).of(url)
    assert (found and found[0]) == licence
    assert found is None or found[1] in ("sites: 2026-11-30 https://clinic.example/terms", "sites: unverified")

"""The card and `croissant.json`: what loaders and search engines read of a corpus."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mmedc.corpus.card import card, limits_of
from mmedc.corpus.manifest import read_manifest, stats
from mmedc.document import MEASURES
from mmedc.yamlfile import parse_yaml


def test_the_card_has_a_configuration_for_every_language_and_says_its_limits(quickstart: Path) -> None:
    text = (quickstart / "README.md").read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    found = parse_yaml(front, "README.md", ValueError).data
    assert found["language"] == ["en", "es", "fr", "ja", "ru", "zh"]
    assert [each["config_name"] for each in found["configs"]] == ["default", *found["language"]]
    assert all(list(quickstart.glob(each["data_files"])) for each in found["configs"])
    manifest = read_manifest(str(quickstart))
    for said in (*limits_of(manifest, stats(manifest)), manifest.digest, "Placeholders by language: en 0, es 0"):
        assert said in body
    assert body.count("\n## ") == len({line for line in body.split("\n") if line.startswith("## ")})
    assert "Placeholders by language" not in card(manifest, stats(manifest))


def test_croissant_names_every_shard_and_every_column_that_it_describes(quickstart: Path) -> None:
    found = json.loads((quickstart / "croissant.json").read_text(encoding="utf-8"))
    manifest = read_manifest(str(quickstart))
    assert found["conformsTo"] == ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"]
    files = [each for each in found["distribution"] if each["@type"] == "cr:FileObject"]
    shards = {(shard.path, shard.sha256, f"{shard.bytes} B") for shard in manifest.shards}
    assert {(each["contentUrl"], each["sha256"], each["contentSize"]) for each in files} == shards
    sets = {each["@id"]: each for each in found["distribution"] if each["@type"] == "cr:FileSet"}
    for records in found["recordSet"]:
        for field in records["field"]:
            shards_of = sets[field["source"]["fileSet"]["@id"]]
            schema = pq.read_schema(next(quickstart.glob(shards_of["includes"])))
            kind = str(schema.field(field["source"]["extract"]["column"]).type)
            names = {"large_string": "sc:Text", "string": "sc:Text", "float": "sc:Float", "int32": "sc:Integer"}
            assert field["dataType"] == names[kind] and field["@id"] == f"{records['name']}/{field['name']}"
        assert {field["name"] for field in records["field"]} >= {"text", "licence", "tokens", *MEASURES}
    assert len({each["@id"] for each in found["distribution"]}) == len(found["distribution"])
    assert [each["name"] for each in found["recordSet"]] == found["inLanguage"]
    said = {key for key in found if key.startswith("rai:")}
    assert {"rai:dataCollection", "rai:dataLimitations", "rai:personalSensitiveInformation", "rai:dataUseCases"} <= said
    assert found["identifier"] == manifest.digest


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the libraries that it uses
def test_mlcroissant_reads_it(quickstart: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    data = mlcroissant.Dataset(jsonld=str(quickstart / "croissant.json"))
    rows = list(data.records(record_set="zh"))
    assert len(rows) == 11 and {row["zh/lang"] for row in rows} == {b"zh"}

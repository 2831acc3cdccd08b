"""`croissant.json`: the corpus in the vocabulary of Croissant 1.0 (MLCommons), with the fields for responsible AI.

Search engines of data sets and loaders read it. Every shard is named with its SHA-256, and every language is a set of
records with the columns of the documents.
"""

import json
from typing import Any

import pyarrow as pa

from mmedc.corpus.manifest import Manifest, Stats
from mmedc.document import DOCUMENT, MEASURES

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
SAID = {
    "id": "The first 32 hexadecimal digits of SHA-256 over source and locator",
    "text": "The text, as Unicode NFC",
    "lang": "The language, as ISO 639-1",
    "source": "The source, by its name in the recipe",
    "kind": "web, book, textbook, article, encyclopedia or qa",
    "locator": "The URL, or the place in a file",
    "licence": "The licence as an SPDX identifier, or unknown",
    "tokens": "The number of tokens",
}
"""The columns beside the measures that the sets of records have."""


def croissant(manifest: Manifest, stats: Stats, limits: tuple[str, ...]) -> bytes:
    """Return `croissant.json`; `limits` are the known limits of the corpus, in sentences.

    There is no date in it, because two builds of one recipe have the same bytes.
    """
    version, licences = manifest.versions.get("mmedc", ""), [name for name in stats.licences if name != "unknown"]
    found = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": manifest.name,
        "description": f"{stats.documents:,} medical documents, {stats.tokens:,} tokens, in {len(stats.languages)} "
        f"languages, built by mmedc {version}. Each document has a licence of its own in the column licence.",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "identifier": manifest.digest,
        "inLanguage": list(stats.languages),
        "license": [f"https://spdx.org/licenses/{name}.html" for name in licences] or ["unknown"],
        "url": ".",
        "version": "1.0.0",
        "keywords": ["medicine", "multilingual", "pretraining", *stats.languages],
        "distribution": [*map(_object, manifest.shards), *map(_file_set, stats.languages)],
        "recordSet": [_records(lang) for lang in stats.languages],
        "rai:dataCollection": f"Sources: {', '.join(stats.sources)}. {_removed(stats)}",
        "rai:dataCollectionType": "Web Scraping" if "web" in stats.kinds else "Secondary Data analysis",
        "rai:dataPreprocessingProtocol": [row.step for row in manifest.funnel],
        "rai:dataReleaseMaintenancePlan": "`mmedc forget` removes documents from it.",
        "rai:dataLimitations": list(limits),
        "rai:personalSensitiveInformation": "Placeholders stand for e-mail addresses, telephone numbers and the like "
        "(column private_items); names of people may remain, and case reports describe people's health.",
        "rai:dataUseCases": "Training of language models on medical text. Not medical advice.",
    }
    return (json.dumps(found, ensure_ascii=False, indent=1) + "\n").encode()


def _removed(stats: Stats) -> str:
    read = stats.funnel[0].read if stats.funnel else 0
    return f"Of {read:,} records that were read, {stats.documents:,} were kept."


def _object(shard: Any) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": shard.path,
        "name": shard.path,
        "contentUrl": shard.path,
        "contentSize": f"{shard.bytes} B",
        "encodingFormat": "application/x-parquet",
        "sha256": shard.sha256,
    }


def _file_set(lang: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"shards-{lang}",
        "name": f"shards-{lang}",
        "description": f"The shards of the language {lang}",
        "encodingFormat": "application/x-parquet",
        "includes": f"data/{lang}/*.parquet",
    }


def _records(lang: str) -> dict[str, Any]:
    fields = []
    for name, said in {**SAID, **MEASURES}.items():
        source = {"fileSet": {"@id": f"shards-{lang}"}, "extract": {"column": name}}
        kind = _data_type(DOCUMENT.field(name).type)
        field = {"@type": "cr:Field", "@id": f"{lang}/{name}", "name": name, "description": said, "dataType": kind}
        fields.append({**field, "source": source})
    return {"@type": "cr:RecordSet", "@id": lang, "name": lang, "description": f"Documents in {lang}", "field": fields}


def _data_type(of: pa.DataType) -> str:
    return "sc:Integer" if pa.types.is_integer(of) else "sc:Float" if pa.types.is_floating(of) else "sc:Text"

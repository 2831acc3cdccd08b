"""The crawl of `speed.py` by Scrapy: run in an environment of its own, which has no mmedc.

It does what its documentation says for broad crawls, with robots.txt, one request at a time to a host, and
scrapy-warcio as a downloader middleware. Links are extracted by its LinkExtractor; pages are not looked at otherwise.
"""

import json
import os
import pkgutil  # noqa: F401 (scrapy-warcio's dependency expects setuptools to be importable)
from pathlib import Path
from urllib.parse import urlsplit

import scrapy
import scrapy_warcio
from scrapy.crawler import CrawlerProcess
from scrapy.linkextractors import LinkExtractor
from scrapy.resolver import CachingThreadedResolver
from twisted.internet import defer

FOLDER = Path(os.environ["FOLDER"])
ABOUT = json.loads((FOLDER / "about").read_text())
PORT = ABOUT["port"]
SEEDS = ABOUT["seeds"]
HOSTS = {urlsplit(seed).hostname for seed in SEEDS}


class Resolver(CachingThreadedResolver):
    """Answers for the hosts of the test web."""

    def getHostByName(self, name, timeout=None):  # noqa: D102
        return defer.succeed(ABOUT["names"][name][0])


class Warc:
    """The downloader middleware of scrapy-warcio's README."""

    def __init__(self):
        self.warcio = scrapy_warcio.ScrapyWarcIo()

    def process_request(self, request, spider):
        """Note the time of a request, and name its host without the port, which the server asks for."""
        request.headers["Host"] = urlsplit(request.url).hostname
        request.meta["WARC-Date"] = scrapy_warcio.warc_date()

    def process_response(self, request, response, spider):
        """Write a response and its request."""
        self.warcio.write(response, request)
        return response


class Spider(scrapy.Spider):
    """Follows all links to the hosts of the seeds."""

    name = "all"

    async def start(self):
        """Yield the seeds."""
        for seed in SEEDS:
            yield scrapy.Request(self.with_port(seed))

    def with_port(self, url):
        """Return a URL with the port at which the web is served."""
        parts = urlsplit(url)
        return parts._replace(netloc=f"{parts.hostname}:{PORT}").geturl()

    links = LinkExtractor()

    def parse(self, response):
        """Follow the links of a page."""
        if not hasattr(response, "encoding"):
            return
        for link in self.links.extract_links(response):
            if urlsplit(link.url).hostname in HOSTS:
                yield scrapy.Request(self.with_port(link.url))


(FOLDER / "warcio.yml").write_text(
    json.dumps(
        {
            "collection": "test",
            "description": "test",
            "max_warc_size": 1 << 28,
            "operator": "test",
            "robots": "obey",
            "user_agent": "test (+https://example.org/bot)",
            "warc_dest": str(FOLDER),
            "warc_prefix": "scrapy",
            "warc_spec": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.0/",
        }
    )
)
os.environ["SCRAPY_WARCIO_SETTINGS"] = str(FOLDER / "warcio.yml")
delay = float(os.environ["DELAY"])
process = CrawlerProcess(
    {
        "USER_AGENT": "test (+https://example.org/bot)",
        "ROBOTSTXT_OBEY": True,
        "CONCURRENT_REQUESTS": 128,
        "CONCURRENT_REQUESTS_PER_DOMAIN": 1,
        "DOWNLOAD_DELAY": delay,
        "RANDOMIZE_DOWNLOAD_DELAY": False,
        "DNS_RESOLVER": Resolver,
        "DOWNLOADER_MIDDLEWARES": {Warc: 543},
        "LOG_LEVEL": "ERROR",
        "COOKIES_ENABLED": False,
        "RETRY_ENABLED": False,
        "SCHEDULER_PRIORITY_QUEUE": "scrapy.pqueues.DownloaderAwarePriorityQueue",
        "REACTOR_THREADPOOL_MAXSIZE": 20,
        "CLOSESPIDER_PAGECOUNT": int(os.environ["MOST"]) if os.environ["MOST"] == "1" else 0,
        "TELNETCONSOLE_ENABLED": False,
    }
)
process.crawl(Spider)
process.start()

"""The crawler: from lists of sites to WARC files. It fetches politely, writes what it fetched, and reads links."""

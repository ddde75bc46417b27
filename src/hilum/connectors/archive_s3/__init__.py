"""The compliance archive in an object store with Object Lock."""

from hilum.connectors.archive_s3.bucket import ArchiveS3

__all__ = ["ArchiveS3"]

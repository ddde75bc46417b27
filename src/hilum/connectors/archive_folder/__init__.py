"""The compliance archive in a folder: write-once files under their own digests."""

from hilum.connectors.archive_folder.folder import ArchiveFolder

__all__ = ["ArchiveFolder"]

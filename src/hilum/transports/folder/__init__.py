"""Watched folders: files that systems drop are claimed, read once they are stable, cut into messages and taken in once."""

from hilum.transports.folder.drop import FolderDrop, Part, Taken
from hilum.transports.folder.outbox import FolderOutbox
from hilum.transports.folder.places import FolderUnusable, open_folder

__all__ = ["FolderDrop", "FolderOutbox", "FolderUnusable", "Part", "Taken", "open_folder"]

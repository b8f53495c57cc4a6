"""Directories: agents that only keep protocol documents, for others to find before they negotiate one of their own.

A directory says which texts there are, never that one of them is good: every text is checked by its hash where it
arrives, and held against a task's own schemas before it is proposed to anybody.
"""

from negotiator.directory.client import Directory, DirectoryClient, Entry
from negotiator.directory.door import DirectoryDoor
from negotiator.directory.sync import SyncCaps, Synced, sync

__all__ = ["Directory", "DirectoryClient", "DirectoryDoor", "Entry", "SyncCaps", "Synced", "sync"]

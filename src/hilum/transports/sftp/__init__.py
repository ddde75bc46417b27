"""SFTP both ways: fetching from and pushing to partners' servers, and a server of ours for partners who push.

The only importer of asyncssh (EPL-2.0, decisions/0019): ``pip install hilum[sftp]``. SSH file transfer protocol version 3
(draft-ietf-secsh-filexfer-02), as OpenSSH speaks it.
"""

import logging

from hilum.transports.sftp.connection import HostKeyRefused, LoginRefused, NotReached, Partner, connected
from hilum.transports.sftp.fetch import Bounds, Policy, SftpFetch
from hilum.transports.sftp.home import HomeLimits
from hilum.transports.sftp.push import SftpOutbox
from hilum.transports.sftp.server import Account, ServerLimits, SftpServer, host_key

__all__ = [
    "Account",
    "Bounds",
    "HomeLimits",
    "HostKeyRefused",
    "LoginRefused",
    "NotReached",
    "Partner",
    "Policy",
    "ServerLimits",
    "SftpFetch",
    "SftpOutbox",
    "SftpServer",
    "connected",
    "host_key",
]

# The library writes names of files into its log, and names of files may be names of patients.
logging.getLogger("asyncssh").setLevel(logging.CRITICAL)

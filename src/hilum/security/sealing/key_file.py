"""The default key wrapper: key-encryption keys in a file of the data directory, beside the database and never in it."""

from __future__ import annotations

import os
import stat
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hilum.security.sealing.wrapping import KeysLost, KeysUnusable

FILE = Path("keys") / "master.json"
"""Where the file is in a data directory."""
_FORMAT = "hilum-key-file/1"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class LocalKeyFile:
    """Wraps with AES-256-GCM under the newest key of the file.

    The file is JSON: ``{"format", "current", "keys": {id: base64}}``, mode 0600. An id is made of the key's SHA-256.
    """

    def __init__(self, path: Path, keys: dict[str, bytes], current: str) -> None:
        self._path = path
        self._keys = keys
        self._current = current

    @classmethod
    def open(cls, path: Path) -> LocalKeyFile:
        """The file at ``path``. KeysLost when there is none, KeysUnusable when it is damaged or others may read it."""
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & _OTHERS:
                    raise KeysUnusable(
                        f"the key file {path} can be read or changed by other users of this machine: run chmod 600 {path}, "
                        "and `hilum keys rotate` when somebody may have read it"
                    )
                content = orjson.loads(file.read())
            if content["format"] != _FORMAT:
                raise KeysUnusable(
                    f"the key file {path} is of the format {content['format']}; this release reads {_FORMAT}"
                )
            keys = {name: b64decode(text, validate=True) for name, text in content["keys"].items()}
            current = content["current"]
        except FileNotFoundError:
            raise KeysLost(f"there is no key file {path}") from None
        except OSError as error:
            raise KeysUnusable(f"the key file {path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise KeysUnusable(f"the key file {path} is damaged: restore it from its backup") from None
        if current not in keys or any(_name(key) != name for name, key in keys.items()):
            raise KeysUnusable(
                f"the key file {path} is damaged (a key is not what its name says): restore it from its backup"
            )
        return cls(path, keys, current)

    @classmethod
    def make(cls, path: Path) -> LocalKeyFile:
        """A new file with one new key. FileExistsError when there is one."""
        if path.exists():
            raise FileExistsError(path)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = AESGCM.generate_key(256)
        made = cls(path, {_name(key): key}, _name(key))
        made._write()
        return made

    @property
    def key_id(self) -> str:
        return self._current

    def wrap(self, key: bytes, about: bytes) -> bytes:
        self._reread()  # Another process may have rotated: nothing new is wrapped by a key that is on its way out.
        nonce = os.urandom(12)
        return nonce + AESGCM(self._keys[self._current]).encrypt(nonce, key, about)

    def unwrap(self, wrapped: bytes, about: bytes, key_id: str) -> bytes:
        if key_id not in self._keys:
            self._reread()
        key = self._keys.get(key_id)
        if key is None:
            raise KeysLost(
                f"the key file {self._path} does not have the key {key_id}: put the file back that was here when the database "
                "was last used (its backup), or everything sealed stays unreadable"
            )
        try:
            return AESGCM(key).decrypt(wrapped[:12], wrapped[12:], about)
        except InvalidTag:
            raise KeysLost(
                f"a data key in the database was changed: {key_id} does not open it; restore the database"
            ) from None

    def rotate(self) -> str:
        self._reread()
        key = AESGCM.generate_key(256)
        self._keys[_name(key)] = key
        self._current = _name(key)
        self._write()
        return self._current

    def forget(self, keep: frozenset[str]) -> list[str]:
        gone = [name for name in self._keys if name != self._current and name not in keep]
        for name in gone:
            del self._keys[name]
        self._write()
        return gone

    def _reread(self) -> None:
        now = LocalKeyFile.open(self._path)
        self._keys, self._current = now._keys, now._current

    def _write(self) -> None:
        """The whole file or nothing of it, on disk before anything is wrapped with what is new in it."""
        content = {
            "format": _FORMAT,
            "current": self._current,
            "keys": {name: b64encode(key).decode() for name, key in self._keys.items()},
        }
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(orjson.dumps(content, option=orjson.OPT_INDENT_2))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        finally:
            draft.unlink(missing_ok=True)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _name(key: bytes) -> str:
    return f"local:{sha256(b'hilum key id' + key).hexdigest()[:16]}"

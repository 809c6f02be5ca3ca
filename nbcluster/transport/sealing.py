"""Keys for one connection between two ends that hold the same ticket, and records under them. Knows no sockets.

Both ends make a key pair (X25519) for each connection, and tell the public half in a message that is signed with the
ticket. From what the pairs have in common, the ticket and what was told come two keys (HKDF with SHA-256), one for each
direction. Under them records are encrypted with AES-256-GCM and numbered from zero: none can be read, changed, left
out, repeated or brought in another order. Who learns the ticket later cannot read what was recorded before, since the
pairs are gone with the connection.
"""

from __future__ import annotations

from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from nbcluster.transport.frames import Buffer
from nbcluster.transport.landing import Tampered

TAG = 16
"""Bytes by which a record is longer than what is in it."""

_KEY = 32
_NUMBER = Struct(">4xQ")


def told(task: str, nonce: bytes, asking: bytes, answering: bytes) -> bytes:
    """Return what both ends know of how they came to their keys."""
    return nonce + asking + answering + task.encode()


class KeyPair:
    """One end's part in the making of the keys of one connection."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()
        self.public = self._private.public_key().public_bytes_raw()

    def keys(self, other: bytes, ticket: bytes, told: bytes) -> tuple[bytes, bytes]:
        """Return the key under which the asking end seals, and that of the answering one.

        Parameters
        ----------
        other : bytes
            The other end's public half.
        ticket : bytes
        told : bytes
            See `told`: where it differs, the keys differ.

        Raises
        ------
        Tampered
            When the other half is none.
        """
        try:
            common = self._private.exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError as error:
            raise Tampered(f"what came is no public key: {error}") from error
        derived = HKDF(SHA256(), 2 * _KEY, salt=ticket, info=b"nbcluster value\0" + told).derive(common)
        return derived[:_KEY], derived[_KEY:]


class Sealer:
    """Seals records in order, under a key of its own."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._number = 0

    def seal(self, plain: Buffer, into: memoryview) -> None:
        """Seal a record.

        Parameters
        ----------
        plain : bytes-like
        into : memoryview
            Takes the record, which is TAG longer.
        """
        self._cipher.encrypt_into(_NUMBER.pack(self._number), plain, None, into)
        self._number += 1


class Opener:
    """Opens the records of a Sealer with the same key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._number = 0

    def open(self, record: Buffer, into: memoryview) -> None:
        """Open the next record.

        Raises
        ------
        Tampered
            When it is not that. What is in `into` then means nothing.
        """
        try:
            self._cipher.decrypt_into(_NUMBER.pack(self._number), record, None, into)
        except InvalidTag:
            raise Tampered("what came is not what was sent") from None
        self._number += 1

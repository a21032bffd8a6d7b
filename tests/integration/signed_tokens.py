"""JSON Web Tokens as a test wants them: right, or wrong in one way."""

import base64
import hmac
import json
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class SigningKey:
    """An ES256 key with an id."""

    def __init__(self, kid):
        self.kid = kid
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def jwks(self):
        """The JSON Web Key Set with the public key."""
        numbers = self._key.public_key().public_numbers()
        x, y = (encoded(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        key = {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid, "x": x, "y": y}
        return json.dumps({"keys": [key]})

    def sign(self, claims, *, kid=None, algorithm="ES256"):
        """Sign claims; an algorithm of `none` leaves the signature out."""
        text = signing_input(claims, kid or self.kid, algorithm)
        if algorithm == "none":
            return f"{text}."
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def signing_input(claims, kid, algorithm):
    header = {"alg": algorithm, "typ": "JWT", "kid": kid}
    return ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))


def public_pem(jwk):
    """A public key of a key set as PEM."""
    x, y = (int.from_bytes(base64.urlsafe_b64decode(jwk[name] + "=="), "big") for name in ("x", "y"))
    key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def signed_with_public_key(claims, jwk, shared_secret):
    """The attack by which a verifier takes a public key for a shared secret."""
    text = signing_input(claims, jwk["kid"], "HS256")
    return f"{text}.{encoded(hmac.digest(shared_secret, text.encode(), 'sha256'))}"


def claims(*, issuer, audience, access, life=600):
    """What a token for the registry says; `life` in seconds, negative for one that has ended."""
    now = int(time.time())
    return {
        "iss": issuer,
        "aud": audience,
        "iat": now - 900,
        "nbf": now - 900,
        "exp": now + life,
        "access": access,
    }


def decoded(token, part=1):
    """Claims of a token, unchecked; part 0 is its header."""
    text = token.split(".")[part]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))

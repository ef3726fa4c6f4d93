"""The demo shop of `trackway up --demo`: a small server-rendered shop that carries the snippet as any site would."""

from trackway.demo.shop import create_shop

__all__ = ["create_shop"]

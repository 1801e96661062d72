"""Dataclasses of which a frame makes dozens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """``@dataclass(frozen=True)`` to whoever checks types, a plain dataclass to Python.

    Python makes a frozen one four times as slowly, since it sets each field through ``object.__setattr__``.
    """
    return dataclass(cls)

"""Named tuples of our own beside those of `typing`."""

from __future__ import annotations

import copy
import pickle
import typing

import pytest

from symgraph.records import NamedTuple


class Ours(NamedTuple):
    """Words."""

    x: int
    y: str = "a"
    z: tuple[int, ...] = ()

    def both(self) -> str:
        return f"{self.x}{self.y}"

    @property
    def owner(self) -> type:
        return __class__


class Theirs(typing.NamedTuple):
    """Words."""

    x: int
    y: str = "a"
    z: tuple[int, ...] = ()


class Child(Ours):
    """A class of the same fields."""

    def both(self) -> str:
        return super().both() + "!"


CALLS = [
    ((1,), {}), ((1, "b"), {}), ((1,), {"z": (3,)}), ((), {"x": 4, "y": "c", "z": (1, 2)}),
]  # fmt: skip
WRONG = [((), {}), ((1, 2, 3, 4), {}), ((1,), {"w": 2}), ((1,), {"x": 2})]


@pytest.mark.parametrize(("args", "kwargs"), CALLS)
def test_it_is_the_tuple_of_typing(args, kwargs):
    ours, theirs = Ours(*args, **kwargs), Theirs(*args, **kwargs)
    assert ours == theirs and hash(ours) == hash(theirs)
    assert ours._asdict() == theirs._asdict()
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert ours._replace(y="new") == theirs._replace(y="new")
    assert (ours.x, ours.y, ours.z) == tuple(theirs)
    assert type(ours._replace(x=2)) is Ours


@pytest.mark.parametrize(("args", "kwargs"), WRONG)
def test_wrong_calls_are_refused_in_the_same_words(args, kwargs):
    with pytest.raises(TypeError) as theirs:
        Theirs(*args, **kwargs)
    with pytest.raises(TypeError) as ours:
        Ours(*args, **kwargs)
    assert str(ours.value) == str(theirs.value).replace("Theirs", "Ours")
    with pytest.raises(ValueError, match="unexpected field names"):
        Ours(1)._replace(w=1)
    with pytest.raises(TypeError, match="Expected 3 arguments, got 2"):
        Ours._make([1, 2])


def test_classes_have_what_the_language_asks_of_them():
    for name in ("_fields", "_field_defaults", "__match_args__", "__doc__", "__slots__"):
        assert getattr(Ours, name) == getattr(Theirs, name)
    assert type(Ours) is type and Ours.__module__ == __name__ and Ours(1).owner is Ours
    with pytest.raises(AttributeError):
        Ours(1).w = 2
    match Ours(1, "b"):
        case Ours(x, y=second):
            assert (x, second) == (1, "b")
    for made in (pickle.loads(pickle.dumps(Ours(7))), copy.deepcopy(Ours(7)), copy.copy(Ours(7))):
        assert type(made) is Ours and made == (7, "a", ())


def test_a_class_can_be_derived_from():
    assert Child(1, "b").both() == "1b!" and Child._fields == Ours._fields
    assert repr(Child(1)) == "Child(x=1, y='a', z=())" and isinstance(Child(1), Ours)


def test_there_may_be_many_fields():
    body = {"__annotations__": {f"f{k}": "int" for k in range(30)}, "__module__": __name__}
    (base,) = NamedTuple.__mro_entries__(())
    made = type(base)("Many", (base,), body)
    assert made(*range(30)).f29 == 29 and made(*range(29), f29=5)[-1] == 5


def test_bad_classes_are_refused():
    with pytest.raises(TypeError, match="without a default"):

        class Order(NamedTuple):
            x: int = 0
            y: int

    with pytest.raises(ValueError, match="underscore"):

        class Hidden(NamedTuple):
            _x: int

    with pytest.raises(TypeError, match="no other bases"):

        class Two(NamedTuple, dict):
            x: int

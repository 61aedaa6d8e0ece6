"""Things by name, loaded when they are used: those that ship here, a user's own, those of installed packages."""

import copyreg
import hashlib
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from perturb_jax.support.errors import InputError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Thing = TypeVar("Thing")


class Registry(Generic[Thing]):
    """Things of one kind, "strategy" say, by name.

    A name is looked up among those that were registered, those that ship here (`built_in`: name to "module:attribute"),
    the entry points of installed packages; "FILE.py:NAME" is what a user's own file defines. Nothing is imported before
    it is used.
    """

    def __init__(self, kind: str, built_in: Mapping[str, str], group: str = ""):
        self.kind = kind
        self.built_in = dict(built_in)
        self.group = group or f"perturb_jax.{kind}"
        self._registered: dict[str, Thing] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of tables: those that ship here first."""
        return tuple(dict.fromkeys((*self.built_in, *self._registered, *self._installed)))

    def register(self, name: str, thing: Thing) -> None:
        """Give a name to a thing for this process."""
        if not name or name in self.built_in or ":" in name:
            raise InputError(f"{self.kind}: expected a new name without ':', got {name!r}; choose another")
        self._registered[name] = thing

    def get(self, name: str) -> Thing:
        """The thing of a name."""
        if name in self._registered:
            return self._registered[name]
        if name in self.built_in:
            module, attribute = self.built_in[name].split(":")
            return getattr(import_module(module), attribute)
        if name in self._installed:
            try:
                return self._installed[name].load()
            except (ImportError, AttributeError) as error:
                raise InputError(f"{self.kind} {name}: its package cannot be loaded ({error})") from None
        if ".py:" in name:
            return from_file(name, self.kind)
        raise InputError(f"{self.kind}: expected one of {', '.join(self.names)}, or FILE.py:NAME; got {name!r}")

    def name_of(self, thing: Any) -> str:
        """The name under which a thing is found; what it calls itself where it is found under none."""
        path = f"{thing.__module__}:{thing.__qualname__}"
        installed = {name: point.value for name, point in self._installed.items()}
        named = [name for name, where in (self.built_in | installed).items() if where == path]
        named += [name for name, one in self._registered.items() if one is thing]
        return named[0] if named else thing.__name__

    @cached_property
    def _installed(self) -> "dict[str, EntryPoint]":
        from importlib.metadata import entry_points  # takes as long to load as all else here

        return {point.name: point for point in entry_points(group=self.group) if point.name not in self.built_in}


def from_file(reference: str, kind: str) -> Any:
    """What "FILE.py:NAME" means.

    What a class makes, with no state but the fields of a dataclass, can be sent to other processes, which need not have
    the file: its source goes with it.
    """
    path, _, name = reference.rpartition(":")
    try:
        source = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{kind}: {path} cannot be read ({reason})") from None
    return remade(source, path, name, kind)


def source_checksum(thing: Any) -> str | None:
    """The SHA-256 of the file that a user's own thing was loaded from; None for what is installed."""
    return getattr(sys.modules.get(getattr(thing, "__module__", "")), "_perturb_jax_checksum", None)


def source_of(part: Any, thing: Any) -> tuple[str, str, str] | None:
    """The source of the user's file that `part` was defined in, its path, and the name that `thing` has there.

    None for what is installed. What is sent to other processes with it is made there again by `remade`.
    """
    module: Any = sys.modules.get(getattr(part, "__module__", ""))
    if not hasattr(module, "_perturb_jax_source"):
        return None
    names = [name for name, value in vars(module).items() if value is thing]
    return (module._perturb_jax_source, module.__file__, names[0]) if names else None


def remade(source: str, path: str, name: str, kind: str) -> Any:
    """What NAME means in a user's file, whose source is there."""
    checksum = hashlib.sha256(source.encode()).hexdigest()
    module_name = f"_perturb_jax_user_{checksum[:16]}"
    module = sys.modules.get(module_name)
    if module is None:
        module = ModuleType(module_name)
        module.__file__ = path
        vars(module).update(_perturb_jax_checksum=checksum, _perturb_jax_source=source)
        sys.modules[module_name] = module  # dataclasses look up their own module
        try:
            exec(compile(source, path, "exec"), vars(module))  # noqa: S102  (the user's own file, named by the user)
        except Exception as error:  # noqa: BLE001  (whatever it raises, the file is what is wrong)
            del sys.modules[module_name]
            raise InputError(f"{kind}: {path} cannot be loaded ({type(error).__name__}: {error})") from None
    if not hasattr(module, name):
        own = [key for key, value in vars(module).items() if getattr(value, "__module__", None) == module_name]
        raise InputError(f"{kind}: {path} defines no {name!r}; expected one of: {', '.join(own) or 'nothing'}")
    thing = getattr(module, name)
    if isinstance(thing, type):
        copyreg.pickle(thing, partial(_reduced, source, path, kind))
    return thing


def _reduced(source: str, path: str, kind: str, instance: Any) -> tuple[Any, ...]:
    """An instance as what makes it again in another process: the source and the values of its fields."""
    held = fields(instance) if is_dataclass(instance) else ()
    values = {one.name: getattr(instance, one.name) for one in held if one.init}
    return _made_again, (source, path, type(instance).__name__, kind, values)


def _made_again(source: str, path: str, name: str, kind: str, values: dict[str, Any]) -> Any:
    return remade(source, path, name, kind)(**values)

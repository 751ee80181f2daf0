"""The world as compiled code hands it on: by reference, one word instead of a tuple of hundreds."""

from hashlib import blake2b
from typing import Any

from numba import types
from numba.experimental import structref

from presage_simulator.kernel.compiled import compiled
from presage_simulator.kernel.state import Guards, Part, Prefixes, Scratch, World


class _Handle(types.StructRef):  # type: ignore[misc]  # numba has no types
    """A struct on the heap whose fields have whatever types it was made with."""

    def preprocess_fields(self, fields: Any) -> Any:
        """Take fields by type, not by value."""
        return tuple((name, types.unliteral(kind)) for name, kind in fields)

    @property
    def mangling_args(self) -> tuple[str, tuple[()]]:
        """Name the type in symbols by a digest: the full name of all fields takes minutes to compile."""
        return type(self).__name__ + blake2b(self.name.encode(), digest_size=8).hexdigest(), ()


@structref.register
class _GuardsType(_Handle):
    pass


@structref.register
class _PartType(_Handle):
    pass


@structref.register
class _PrefixesType(_Handle):
    pass


@structref.register
class _ScratchType(_Handle):
    pass


@structref.register
class _WorldType(_Handle):
    pass


class _GuardsHandle(structref.StructRefProxy):  # type: ignore[misc]  # numba has no types
    pass


class _PartHandle(structref.StructRefProxy):  # type: ignore[misc]  # numba has no types
    pass


class _PrefixesHandle(structref.StructRefProxy):  # type: ignore[misc]  # numba has no types
    pass


class _ScratchHandle(structref.StructRefProxy):  # type: ignore[misc]  # numba has no types
    pass


class _WorldHandle(structref.StructRefProxy):  # type: ignore[misc]  # numba has no types
    pass


structref.define_constructor(_GuardsHandle, _GuardsType, Guards._fields)
structref.define_attributes(_GuardsType)
for _handle, _kind, _tuple in (
    (_PartHandle, _PartType, Part),
    (_PrefixesHandle, _PrefixesType, Prefixes),
    (_ScratchHandle, _ScratchType, Scratch),
    (_WorldHandle, _WorldType, World),
):
    structref.define_constructor(_handle, _kind, _tuple._fields)
    structref.define_attributes(_kind)


@compiled
def by_reference(w: World) -> Any:
    """Return a handle with the fields of `w`."""
    return _WorldHandle(
        w.profile,
        w.objectives,
        w.setting,
        w.front,
        w.requests,
        w.free,
        _GuardsHandle(*w.live),
        _GuardsHandle(*w.seen),
        w.running,
        w.ready,
        w.due,
        w.heap,
        w.place,
        _PartHandle(*w.part),
        _PrefixesHandle(*w.prefixes),
        w.fates,
        _ScratchHandle(*w.scratch),
    )

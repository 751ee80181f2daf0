"""The world as compiled code hands it on: by reference, one word instead of a tuple of hundreds."""

from hashlib import blake2b
from typing import Any

from numba import types
from numba.experimental import structref

from presage_simulator.kernel.compiled import compiled
from presage_simulator.kernel.state import Guards, Part, Prefixes, Scratch, World

_types: Any = types  # numba has few types of its own
_define: Any = structref


class _Handle(types.StructRef):
    """A struct on the heap whose fields have whatever types it was made with."""

    def preprocess_fields(self, fields: Any) -> Any:
        """Take fields by type, not by value."""
        return tuple((name, _types.unliteral(kind)) for name, kind in fields)

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


class _GuardsHandle(structref.StructRefProxy):
    pass


class _PartHandle(structref.StructRefProxy):
    pass


class _PrefixesHandle(structref.StructRefProxy):
    pass


class _ScratchHandle(structref.StructRefProxy):
    pass


class _WorldHandle(structref.StructRefProxy):
    pass


_define.define_constructor(_GuardsHandle, _GuardsType, Guards._fields)
_define.define_attributes(_GuardsType)
for _handle, _kind, _tuple in (
    (_PartHandle, _PartType, Part),
    (_PrefixesHandle, _PrefixesType, Prefixes),
    (_ScratchHandle, _ScratchType, Scratch),
    (_WorldHandle, _WorldType, World),
):
    _define.define_constructor(_handle, _kind, _tuple._fields)
    _define.define_attributes(_kind)

_new_world: Any = _WorldHandle
_new_guards: Any = _GuardsHandle
_new_part: Any = _PartHandle
_new_prefixes: Any = _PrefixesHandle
_new_scratch: Any = _ScratchHandle


@compiled
def by_reference(w: World) -> Any:
    """Return a handle with the fields of `w`."""
    return _new_world(
        w.profile,
        w.objectives,
        w.setting,
        w.front,
        w.requests,
        w.free,
        _new_guards(*w.live),
        _new_guards(*w.seen),
        w.running,
        w.ready,
        w.due,
        w.heap,
        w.place,
        _new_part(*w.part),
        _new_prefixes(*w.prefixes),
        w.fates,
        _new_scratch(*w.scratch),
    )

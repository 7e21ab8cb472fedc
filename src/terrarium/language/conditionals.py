"""Why the two results of a conditional don't go together, in HCL's words."""

from __future__ import annotations

from terrarium.language.text import quote
from terrarium.language.types import List, Map, Object, Set, Tuple, Type


def describe(yes: Type, no: Type) -> str:
    """A sentence without its full stop; the types are known not to have a common one."""
    match yes, no:
        case Object(a), Object(b):
            for name in sorted(a):
                if name not in b:
                    return f"The 'true' value includes object attribute {quote(name)}, which is absent in the 'false' value"
                if a[name] != b[name]:
                    return f"Type mismatch for object attribute {quote(name)}: {describe(a[name], b[name])}"
            for name in sorted(b):
                if name not in a:
                    return f"The 'false' value includes object attribute {quote(name)}, which is absent in the 'true' value"
        case Tuple(a), Tuple(b):
            if len(a) != len(b):
                return f"The 'true' tuple has length {len(a)}, but the 'false' tuple has length {len(b)}"
            for i, (x, y) in enumerate(zip(a, b, strict=True)):
                if x != y:
                    return f"Type mismatch for tuple element {i}: {describe(x, y)}"
        case (List(a), List(b)) | (Set(a), Set(b)) | (Map(a), Map(b)):
            if (isinstance(a, Object) and isinstance(b, Object)) or (isinstance(a, Tuple) and isinstance(b, Tuple)):
                noun = "list" if isinstance(yes, List) else "set" if isinstance(yes, Set) else "map"
                return f"Mismatched {noun} element types: {describe(a, b)}"
    if yes.friendly() == no.friendly():
        return "At least one deeply-nested attribute or element is not compatible across both the 'true' and the 'false' value"
    return f"The 'true' value is {yes.friendly()}, but the 'false' value is {no.friendly()}"

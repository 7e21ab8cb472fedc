"""(coming)"""
from terrarium.base.source import Source
def path_at(source: Source, byte: int) -> str:
    return ""

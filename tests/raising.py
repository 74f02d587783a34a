"""Which of the package's own errors a function may raise, itself or in what it calls: read off the source."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import griffe

_ERRORS = {"InputError", "JobError"}
_CATCHES = {*_ERRORS, "ValueError", "Exception"}


class Function(NamedTuple):
    """A function's source, and where its names are looked up."""

    node: ast.FunctionDef
    module: griffe.Module
    owner: griffe.Class | None

    @property
    def parameters(self) -> Iterable[griffe.Parameter]:
        """Of a function, and of a method, not of a property."""
        own = (self.owner or self.module).members[self.node.name]
        return own.parameters if isinstance(own, griffe.Function) else ()


class Source:
    """The functions of a package.

    Functions and properties that are named are followed to what a name stands for, to members of what is known to be of
    a class (`self`, annotated parameters and fields), and else to the one class that has a member of that name. What a
    handler catches is not raised; what it raises is.
    """

    def __init__(self, package: griffe.Module):
        self._package = package
        modules = list(_modules(package))
        self._functions = {path: function for module in modules for path, function in _functions(module)}
        self._homes: dict[str, list[str]] = {}
        for owner in (owner for module in modules for owner in module.classes.values() if not owner.is_alias):
            for name, member in owner.members.items():
                self._homes.setdefault(name, []).append(member.path)

    def raised(self, path: str) -> set[str]:
        """InputError, JobError, both or neither, of the function with this full name."""
        seen, todo, found = set(), [path], set()
        while todo:
            if (path := todo.pop()) not in seen and path in self._functions:
                seen.add(path)
                errors, followed = self._looked_through[path]
                found |= errors
                todo += followed
        return found

    @cached_property
    def _looked_through(self) -> dict[str, tuple[set[str], list[str]]]:
        """What each function raises itself, and what is followed from it."""
        return {path: self._look_through(function) for path, function in self._functions.items()}

    def _look_through(self, function: Function) -> tuple[set[str], list[str]]:
        errors, followed = set(), []
        for node in _live(function.node):
            if isinstance(node, ast.Raise) and node.exc:
                errors |= {each.id for each in ast.walk(node.exc) if isinstance(each, ast.Name)} & _ERRORS
            elif isinstance(node, ast.Attribute):
                followed += self._member(function, node)
            elif isinstance(node, ast.Call) and (kind := self._class(function, node.func)):
                followed.append(f"{kind.path}.__call__")
            elif isinstance(node, ast.Name):
                followed += self._named(function, node)
        return errors, followed

    def _member(self, function: Function, node: ast.Attribute) -> list[str]:
        """The method or property that an attribute is, where that can be told."""
        if kind := self._class(function, node.value):
            return [kind.all_members[node.attr].canonical_path] if node.attr in kind.all_members else []
        if named := self._named(function, node):
            return named
        homes = self._homes.get(node.attr, [])
        return homes if len(homes) == 1 else []

    def _named(self, function: Function, node: ast.expr) -> list[str]:
        """The full name of what a name, or a name in a module or class, stands for."""
        first, *rest = ast.unparse(node).split(".")
        if first not in function.module.members or any(parameter.name == first for parameter in function.parameters):
            return []
        path = ".".join([function.module.resolve(first), *rest])
        try:
            return [self._package[path.removeprefix(f"{self._package.name}.")].canonical_path]
        except (KeyError, griffe.AliasResolutionError):  # of another package, which raises nothing of ours
            return [path]

    def _class(self, function: Function, node: ast.expr) -> griffe.Class | None:
        """The class of the package that a value is of, by its annotation."""
        if isinstance(node, ast.Name) and node.id == "self":
            return function.owner
        annotation = None
        if isinstance(node, ast.Name):
            annotation = next((p.annotation for p in function.parameters if p.name == node.id), None)
        elif isinstance(node, ast.Attribute) and (kind := self._class(function, node.value)):
            member = kind.all_members.get(node.attr)
            annotation = member.annotation if member is not None and member.is_attribute else None
        for part in annotation.iterate(flat=True) if isinstance(annotation, griffe.Expr) else ():
            path = part.canonical_path if isinstance(part, griffe.ExprName) else ""
            if path.startswith(f"{self._package.name}."):
                found = self._package[path.removeprefix(f"{self._package.name}.")]
                found = found.final_target if isinstance(found, griffe.Alias) else found
                return found if isinstance(found, griffe.Class) else None
        return None


def _modules(package: griffe.Module) -> Iterator[griffe.Module]:
    yield package
    for module in package.modules.values():
        if isinstance(module, griffe.Module):
            yield from _modules(module)


def _functions(module: griffe.Module) -> Iterator[tuple[str, Function]]:
    """Of a module and of its classes, by their full names."""
    for node in ast.parse(Path(str(module.filepath)).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            yield f"{module.path}.{node.name}", Function(node, module, None)
        elif isinstance(node, ast.ClassDef):
            owner = module.classes[node.name]
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{module.path}.{node.name}.{inner.name}", Function(inner, module, owner)


def _live(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all in it, but for what is tried and whose errors are caught."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Try) and any(_is_caught(handler) for handler in child.handlers):
            for part in (*child.handlers, *child.orelse, *child.finalbody):
                yield from _live(part)
        else:
            yield from _live(child)


def _is_caught(handler: ast.ExceptHandler) -> bool:
    names = {each.id for each in ast.walk(handler.type) if isinstance(each, ast.Name)} if handler.type else _CATCHES
    return bool(names & _CATCHES)

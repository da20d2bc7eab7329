"""Meshes made light: an arm's files hold a hundred thousand triangles, a picture of the table shows a few thousand of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Mesh(NamedTuple):
    """Triangles."""

    vertices: np.ndarray
    """(V, 3) [m]."""
    faces: np.ndarray
    """(F, 3) indices of vertices."""


def thinned(mesh: Mesh, cell: float) -> Mesh:
    """The mesh with the vertices of every cube of side `cell` [m] drawn together into their mean.

    Vertex clustering: Rossignac and Borrel, Multi-resolution 3D approximations (1993). Triangles that collapse, or that there
    are twice, are left out; a mesh of which less than a tetrahedron is left stays as it was.
    """
    cube = np.floor(mesh.vertices / cell).astype(np.int64)
    _, corner = np.unique(_number(cube - cube.min(axis=0)), return_inverse=True)
    count = np.bincount(corner)
    vertices = np.stack([np.bincount(corner, mesh.vertices[:, i]) / count for i in range(3)], axis=1)
    faces = corner[mesh.faces]
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
    _, first = np.unique(_number(np.sort(faces, axis=1)), return_index=True)
    faces = faces[np.sort(first)]
    used, faces = np.unique(faces, return_inverse=True)
    if len(used) < 4:
        return Mesh(mesh.vertices.astype(np.float64), mesh.faces.astype(np.int64))
    return Mesh(vertices[used], faces.reshape(-1, 3))


def _number(rows: np.ndarray) -> np.ndarray:
    """One whole number for each row (N, 3) of small ones: what is sorted fast."""
    most = int(rows.max()) + 1 if len(rows) else 1
    return (rows[:, 0] * most + rows[:, 1]) * most + rows[:, 2]

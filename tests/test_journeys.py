"""The notebooks of the journeys run in a real kernel, on pictures that they make themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jupyter_client.manager import KernelManager

nbformat = pytest.importorskip("nbformat", reason="the test extra has nbclient and nbformat")
nbclient = pytest.importorskip("nbclient", reason="the test extra has nbclient and nbformat")
pytest.importorskip("ipykernel", reason="the test extra has ipykernel")

FOLDER = Path(__file__).parents[1] / "queries" / "journeys"
BOOKS = sorted(FOLDER.glob("*.ipynb"))

EXPECTED = {
    # what each notebook has to show at the least: pictures, charts, tables
    "1_food_classifier": (5, 10, 4),
    "2_lemons": (25, 8, 8),
    "3_detection_with_versions": (20, 5, 6),
    "4_production": (18, 6, 6),
    "5_bears": (9, 3, 5),
}


def test_there_is_a_notebook_for_each_journey_and_outputs_are_stripped() -> None:
    assert {book.stem for book in BOOKS} == set(EXPECTED)
    for file in BOOKS:
        assert file.stat().st_size < 12_000
        for cell in nbformat.read(file, 4).cells:
            assert cell.cell_type == "markdown" or (not cell.outputs and not cell.execution_count)


@pytest.fixture(scope="module")
def kernel() -> Iterator[KernelManager]:
    """One kernel for all notebooks: each would load torch and the rest anew."""
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    yield manager
    manager.shutdown_kernel(now=True)
    manager.context.destroy()


@pytest.mark.slow
@pytest.mark.parametrize("file", BOOKS, ids=lambda file: file.stem)
def test_a_journey_runs_and_shows_what_it_finds(
    file: Path, kernel: KernelManager, tmp_path: Path
) -> None:
    book = nbformat.read(file, 4)
    place = f"%reset -f\nimport os\nos.chdir({str(tmp_path)!r})"
    book.cells.insert(0, nbformat.v4.new_code_cell(place))
    client = nbclient.NotebookClient(book, timeout=600, km=kernel)
    try:
        client.execute()
    finally:
        client.kc.stop_channels()
    pages = []
    for cell in book.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            data = output.get("data", {})
            assert "object at 0x" not in data.get("text/plain", "")
            pages.append(data.get("text/html", ""))
    found = [sum(page.count(f"<{tag}") for page in pages) for tag in ("img", "svg", "table")]
    assert all(n >= least for n, least in zip(found, EXPECTED[file.stem])), found

"""What a job's folder says of itself."""

from pathlib import Path

from tasks.workspace import JobFolder


def test_a_file_of_several_names_is_there_once(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path, 1)
    archive = folder.growing("1")
    archive.write_bytes(bytes(1000))
    folder.file("x.zip").hardlink_to(archive)
    folder.file("y.zip").write_bytes(bytes(10))
    assert folder.size() == 1010

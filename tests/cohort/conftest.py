import pytest

from fusionprep.cohort.anatomy import Anatomy, load_anatomy


@pytest.fixture(scope="session")
def anatomy() -> Anatomy:
    return load_anatomy(6)

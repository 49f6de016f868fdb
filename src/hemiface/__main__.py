"""`python -m hemiface` is `hemiface`."""

from hemiface.cli import main

if __name__ == "__main__":
    main()

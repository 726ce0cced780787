"""`python -m nmt`, and the console script."""

from nmt.cli import main

if __name__ == "__main__":
    main()

"""Run the command line as a module: `python -m slicedb`."""

from slicedb.cli import main

if __name__ == "__main__":
    main()

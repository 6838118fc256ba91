"""The command line. Importing it loads neither torch nor the crypto library: `tacit --help` answers at once."""

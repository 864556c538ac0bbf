"""What every room may use and which knows none of them: atomic files, tables, the default generator, late imports."""

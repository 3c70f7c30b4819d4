"""The commands as Python functions, for notebooks and scripts: `import sweeper` offers them."""

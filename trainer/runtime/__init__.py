"""How a process uses its device, memory and files."""

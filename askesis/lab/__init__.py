"""What is built on whole runs: begin, resume, evaluate, estimate, export."""

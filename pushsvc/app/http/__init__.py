"""What all routes need: access control, parameters, bodies, problems, content codings."""

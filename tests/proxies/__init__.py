"""The service behind real proxies, which are set as the manifests set them.

Times are divided by SCALE, those of the proxies and those of the service alike: 60 s of a proxy's
default are 3 s here, the service's heartbeat of 15 s is 0.75 s.
"""

SCALE = 20

"""nginx with nchan, which is C from end to end (Debian: nginx-light and libnginx-mod-nchan).

`python -m tests.bench.peers.nchan` writes a configuration, prints the URL, and becomes nginx. A
channel is named by `select` where it is read and by `id` where it is published to; a message is
kept for clients that come back, as nchan does by default.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

_CONFIGURATION = """
load_module {module};
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; multi_accept on; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    tcp_nodelay on;
    nchan_shared_memory_size 256M;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /publish {{
            nchan_publisher http;
            nchan_channel_id $arg_id;
            nchan_message_timeout 1m;
            nchan_message_buffer_length 64;
        }}
        location = /v1/stream {{
            nchan_subscriber websocket eventsource;
            nchan_channel_id $arg_select;
            nchan_subscriber_first_message newest;
            nchan_websocket_ping_interval 0;
        }}
    }}
}}
"""


def main() -> None:
    assert NGINX is not None
    folder = tempfile.mkdtemp()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = Path(folder) / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(module=MODULE, folder=folder, port=port))
    print(f"http://127.0.0.1:{port}", flush=True)
    os.execv(NGINX, [NGINX, "-p", folder, "-c", str(configuration), "-e", "stderr"])  # noqa: S606


if __name__ == "__main__":
    main()

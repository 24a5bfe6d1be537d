"""Which metrics of line protocol are counters, which the format itself doesn't say.

Nothing is learned from values: a gauge that rises for an hour is a gauge. Names are told by
patterns, of the reader's own and of what Telegraf's plugins are documented to count.

Source: the section Metrics in each of https://github.com/influxdata/telegraf/tree/master/plugins/inputs
"""

from __future__ import annotations

import re
from collections.abc import Iterable

TELEGRAF: dict[str, str] = {
    "apache": "TotalAccesses TotalkBytes",
    "cpu": "time_*",
    "diskio": "reads writes read_bytes write_bytes read_time write_time io_time weighted_io_time "
    "merged_reads merged_writes",
    "docker_container_blkio": "io_service_bytes_recursive_* io_serviced_recursive_*",
    "docker_container_cpu": "!usage_percent throttling_* usage_*",
    "docker_container_net": "rx_* tx_*",
    "haproxy": "bin bout chkdown chkfail cli_abrt comp_byp comp_in comp_out comp_rsp dcon dreq "
    "dresp dses econ ereq eresp hanafail http_response_* intercepted lbtot req_tot srv_abrt stot "
    "wredis wretr",
    "internal_agent": "gather_errors gather_timeouts metrics_* write_errors",
    "internal_gather": "errors gather_errors gather_timeouts metrics_gathered",
    "internal_memstats": "frees mallocs num_gc pointer_lookups total_alloc_bytes",
    "internal_write": "errors metrics_added metrics_dropped metrics_filtered metrics_rejected "
    "metrics_written",
    "interrupts": "count total",
    "kernel": "context_switches disk_pages_in disk_pages_out interrupts ksm_full_scans "
    "processes_forked",
    "memcached": "auth_cmds auth_errors bytes_read bytes_written cas_badval cas_hits cas_misses "
    "cmd_* conn_yields decr_hits decr_misses delete_hits delete_misses evicted_active "
    "evicted_unfetched evictions expired_unfetched get_expired get_flushed get_hits get_misses "
    "incr_hits incr_misses listen_disabled_num reclaimed total_connections total_items touch_hits "
    "touch_misses",
    "mysql": "aborted_clients aborted_connects bytes_received bytes_sent com_* connections "
    "created_tmp_disk_tables created_tmp_files created_tmp_tables handler_* innodb_data_read "
    "innodb_data_reads innodb_data_writes innodb_data_written innodb_rows_* opened_tables queries "
    "questions select_* slow_queries sort_* table_locks_*",
    "net": "!tcp_currestab !tcp_maxconn !tcp_rtoalgorithm !tcp_rtomax !tcp_rtomin !ip_defaultttl "
    "!ip_forwarding bytes_recv bytes_sent drop_in drop_out err_in err_out icmp_* icmpmsg_* ip_* "
    "packets_recv packets_sent tcp_* udp_* udplite_*",
    "nginx": "accepts handled requests",
    "nginx_plus_api_connections": "accepted dropped",
    "nginx_plus_api_http_requests": "total",
    "nginx_plus_api_http_server_zones": "discarded received requests responses_* sent",
    "nstat": "!IpDefaultTTL !IpForwarding !TcpCurrEstab !TcpMaxConn !TcpRtoAlgorithm !TcpRtoMax "
    "!TcpRtoMin Icmp* Ip* Tcp* Udp*",
    "phpfpm": "accepted_conn max_children_reached slow_requests",
    "postgresql": "blk_read_time blk_write_time blks_hit blks_read buffers_alloc buffers_backend "
    "buffers_checkpoint buffers_clean checkpoints_req checkpoints_timed conflicts deadlocks "
    "temp_bytes temp_files tup_* xact_commit xact_rollback",
    "pressure": "total",
    "redis": "evicted_keys expired_keys keyspace_hits keyspace_misses rejected_connections "
    "sync_full sync_partial_err sync_partial_ok total_commands_processed "
    "total_connections_received total_net_input_bytes total_net_output_bytes used_cpu_*",
    "redis_cmdstat": "calls failed_calls rejected_calls usec",
    "redis_errorstat": "total",
    "soft_interrupts": "count total",
    "swap": "in out",
}
"""By measurement, its fields that count up: `*` stands for anything, `!` for what is no counter
though a later pattern would say so."""


class Counters:
    """The metrics that are counters, by their names."""

    def __init__(self, own: Iterable[str] = ()) -> None:
        """`own` are patterns of whole names (`shop_orders_*`), looked at before Telegraf's; with a
        `!` before it a pattern names what is no counter. The first that fits decides."""
        shipped = (
            f"!{measurement}_{field[1:]}" if field[0] == "!" else f"{measurement}_{field}"
            for measurement, fields in TELEGRAF.items()
            for field in fields.split()
        )
        self._patterns = [
            (re.compile(".*".join(map(re.escape, each.removeprefix("!").split("*")))), each[0])
            for each in (*filter(None, own), *shipped)
        ]

    def __contains__(self, name: str) -> bool:
        for pattern, first in self._patterns:
            if pattern.fullmatch(name):
                return first != "!"
        return False

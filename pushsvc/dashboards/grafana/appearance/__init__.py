"""How a panel of Grafana's looks: units, colours, thresholds, mappings, overrides, links."""

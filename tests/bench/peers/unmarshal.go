// What Go's own libraries write of the formats that are measured, and how long they take to read
// it: pdata, which is the Collector's, and Prometheus' prompb.
//
//	unmarshal make FORMAT SERIES        writes a body to standard output
//	unmarshal time FORMAT SECONDS       reads a body from standard input, again and again
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"syscall"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

const now = 1_764_000_000_000

// The same series as those of tests/bench/decoding.py.
func labels(n int) [][2]string {
	modes := []string{"idle", "user", "system", "iowait"}
	return [][2]string{
		{"cpu", strconv.Itoa(n % 8)},
		{"instance", fmt.Sprintf("web-%03d:9100", n/32)},
		{"job", "node"},
		{"mode", modes[n/8%4]},
	}
}

func makeExport(series int) pmetricotlp.ExportRequest {
	metrics := pmetric.NewMetrics()
	resource := metrics.ResourceMetrics().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "node")
	scope := resource.ScopeMetrics().AppendEmpty()
	scope.Scope().SetName("bench")
	metric := scope.Metrics().AppendEmpty()
	metric.SetName("node.cpu")
	metric.SetUnit("s")
	sum := metric.SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	for n := range series {
		point := sum.DataPoints().AppendEmpty()
		point.SetStartTimestamp(pcommon.Timestamp((now - 60_000) * 1_000_000))
		point.SetTimestamp(pcommon.Timestamp(now * 1_000_000))
		point.SetDoubleValue(float64(n) * 1.5)
		for _, pair := range labels(n) {
			point.Attributes().PutStr(pair[0], pair[1])
		}
	}
	return pmetricotlp.NewExportRequestFromMetrics(metrics)
}

func makeWrite1(series int) []byte {
	request := prompb.WriteRequest{}
	for n := range series {
		all := []prompb.Label{{Name: "__name__", Value: "node_cpu_seconds_total"}}
		for _, pair := range labels(n) {
			all = append(all, prompb.Label{Name: pair[0], Value: pair[1]})
		}
		request.Timeseries = append(request.Timeseries, prompb.TimeSeries{
			Labels:  all,
			Samples: []prompb.Sample{{Value: float64(n) * 1.5, Timestamp: now}},
		})
	}
	return must(request.Marshal())
}

func makeWrite2(series int) []byte {
	symbols := writev2.NewSymbolTable()
	request := writev2.Request{}
	for n := range series {
		refs := []uint32{symbols.Symbolize("__name__"), symbols.Symbolize("node_cpu_seconds_total")}
		for _, pair := range labels(n) {
			refs = append(refs, symbols.Symbolize(pair[0]), symbols.Symbolize(pair[1]))
		}
		request.Timeseries = append(request.Timeseries, writev2.TimeSeries{
			LabelsRefs: refs,
			Samples:    []writev2.Sample{{Value: float64(n) * 1.5, Timestamp: now}},
			Metadata: writev2.Metadata{
				Type:    writev2.Metadata_METRIC_TYPE_COUNTER,
				HelpRef: symbols.Symbolize("Seconds the CPUs spent in each mode."),
			},
		})
	}
	request.Symbols = symbols.Symbols()
	return must(request.Marshal())
}

func make_(format string, series int) []byte {
	switch format {
	case "OTLP":
		return must(makeExport(series).MarshalProto())
	case "OTLP as JSON":
		return must(makeExport(series).MarshalJSON())
	case "remote write 1.0":
		return snappy.Encode(nil, makeWrite1(series))
	case "remote write 2.0":
		return snappy.Encode(nil, makeWrite2(series))
	}
	log.Fatalf("no such format: %s", format)
	return nil
}

func read(format string, body []byte) error {
	switch format {
	case "OTLP", "OTLP, histograms":
		return pmetricotlp.NewExportRequest().UnmarshalProto(body)
	case "OTLP as JSON":
		return pmetricotlp.NewExportRequest().UnmarshalJSON(body)
	case "remote write 1.0":
		return (&prompb.WriteRequest{}).Unmarshal(must(snappy.Decode(nil, body)))
	case "remote write 2.0":
		return (&writev2.Request{}).Unmarshal(must(snappy.Decode(nil, body)))
	}
	return fmt.Errorf("no such format: %s", format)
}

// cpu is what the process has used in seconds, its garbage collector too.
func cpu() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		log.Fatal(err)
	}
	seconds := func(value syscall.Timeval) float64 {
		return float64(value.Sec) + float64(value.Usec)/1e6
	}
	return seconds(used.Utime) + seconds(used.Stime)
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	if os.Args[1] == "make" {
		out := bufio.NewWriter(os.Stdout)
		must(out.Write(make_(os.Args[2], must(strconv.Atoi(os.Args[3])))))
		if err := out.Flush(); err != nil {
			log.Fatal(err)
		}
		return
	}
	body := must(io.ReadAll(os.Stdin))
	seconds := must(strconv.ParseFloat(os.Args[3], 64))
	rounds, began := 0, cpu()
	for cpu()-began < seconds {
		if err := read(os.Args[2], body); err != nil {
			log.Fatal(err)
		}
		rounds++
	}
	fmt.Printf(`{"rounds":%d,"cpu":%g}`, rounds, cpu()-began)
}

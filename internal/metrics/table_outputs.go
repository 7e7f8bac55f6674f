package metrics

import (
	"ftfuse/internal/control"
	"ftfuse/internal/record"
)

var byOutput = []string{"output"}

// outputs are what is written, since the start of the process or of the output.
var outputs = []Metric{
	{"ftfuse_output_written_bytes_total", Counter, Both, byOutput, "Input bytes written.",
		output(func(o control.OutputStatus) float64 { return byteCount(o.Written) })},
	{"ftfuse_output_written_records_total", Counter, Both, byOutput, "Records in them.",
		output(func(o control.OutputStatus) float64 { return recordCount(o.Written) })},
	{"ftfuse_output_file_bytes_total", Counter, Both, byOutput, "Bytes by which the files have grown: what the input became in this output's format.",
		output(func(o control.OutputStatus) float64 { return float64(o.FileBytes) })},
	{"ftfuse_output_open_files", Gauge, Both, byOutput, "Files open now.",
		output(func(o control.OutputStatus) float64 { return float64(o.Files) })},
	{"ftfuse_output_duplicate_chunks_total", Counter, Both, byOutput, "Pieces that were in the files already.",
		output(func(o control.OutputStatus) float64 { return float64(o.Duplicates) })},
	{"ftfuse_output_gaps_total", Counter, Both, byOutput, "How often senders said that something will never come.",
		output(func(o control.OutputStatus) float64 { return float64(o.Gaps) })},
	{"ftfuse_output_missing_bytes_total", Counter, Both, []string{"output", "reason"}, "Input bytes that will never come, by the sender's reason.", missing(byteCount)},
	{"ftfuse_output_missing_records_total", Counter, Both, []string{"output", "reason"}, "Records in them.", missing(recordCount)},
	{"ftfuse_output_unowned_bytes_total", Counter, Both, byOutput, "Bytes of somebody else found in this output's files.",
		output(func(o control.OutputStatus) float64 { return float64(o.Unowned) })},
	{"ftfuse_output_uncertain_bytes_total", Counter, Both, byOutput, "Bytes that may be in the files twice; of a plug-in that does not acknowledge, bytes that it may have lost.",
		output(func(o control.OutputStatus) float64 { return float64(o.Uncertain) })},
	{"ftfuse_output_misplaced_chunks_total", Counter, Both, byOutput, "Pieces whose path could not be used, put below _misplaced.",
		output(func(o control.OutputStatus) float64 { return float64(o.Misplaced) })},
	{"ftfuse_output_rotated_files_total", Counter, Both, byOutput, "Files rotated.",
		output(func(o control.OutputStatus) float64 { return float64(o.Rotated) })},
	{"ftfuse_output_last_error_timestamp_seconds", Gauge, Both, byOutput, "When writing failed last; 0: never.",
		output(func(o control.OutputStatus) float64 { return stamp(o.ErrorAt) })},
	{"ftfuse_output_oldest_seconds", Gauge, Both, byOutput, "Age of the oldest data that waits in the queue for an output of a sender, or for a plug-in; 0: none.", oldest},
}

// plugins are the programs of outputs. Their figures begin anew when a reload replaces them.
var plugins = []Metric{
	{"ftfuse_plugin_running", Gauge, Both, byOutput, "1 while its process runs.",
		plugin(func(p *control.PluginStatus) float64 { return yes(p.PID != 0) })},
	{"ftfuse_plugin_starts_total", Counter, Both, byOutput, "Its starts.",
		plugin(func(p *control.PluginStatus) float64 { return float64(p.Starts) })},
	{"ftfuse_plugin_restarts_total", Counter, Both, byOutput, "Its ends that nobody asked for.",
		plugin(func(p *control.PluginStatus) float64 { return float64(p.Restarts) })},
	{"ftfuse_plugin_last_exit_timestamp_seconds", Gauge, Both, byOutput, "When it ended last; 0: never.",
		plugin(func(p *control.PluginStatus) float64 { return stamp(p.ExitedAt) })},
	{"ftfuse_plugin_again_bytes_total", Counter, Both, byOutput, "Bytes that it was given and that came again after its end.",
		plugin(func(p *control.PluginStatus) float64 { return float64(p.Again) })},
	{"ftfuse_plugin_in_flight_bytes", Gauge, Both, byOutput, "Bytes given to it and not taken for good.",
		plugin(func(p *control.PluginStatus) float64 { return float64(p.InFlight) })},
	{"ftfuse_plugin_lag_seconds", Gauge, Both, byOutput, "Age of the oldest of these; 0: none.",
		plugin(func(p *control.PluginStatus) float64 { return p.Lag.Seconds() })},
	{"ftfuse_plugin_lines_total", Counter, Both, []string{"output", "stream"}, "Lines that it has said to the journal.", said},
	{"ftfuse_plugin_lines_lost_total", Counter, Both, byOutput, "Lines that it has said and nobody has taken.",
		plugin(func(p *control.PluginStatus) float64 { return float64(p.LinesLost) })},
}

// outputsOf returns the outputs of either role.
func outputsOf(s *control.Status) []control.OutputStatus {
	if s.Sender != nil {
		return s.Sender.Outputs
	}
	return s.Receiver.Outputs
}

func output(value func(control.OutputStatus) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) {
		for _, o := range outputsOf(s) {
			put(value(o), o.Name)
		}
	}
}

func missing(value func(control.Count) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) {
		for _, o := range outputsOf(s) {
			for _, why := range record.Reasons() {
				put(value(o.Missing[why.String()]), o.Name, why.String())
			}
		}
	}
}

// oldest is of outputs that have their data from a queue.
func oldest(s *control.Status, put put) {
	for _, o := range outputsOf(s) {
		if s.Sender != nil || o.Plugin != nil {
			put(age(s.Now, o.Oldest), o.Name)
		}
	}
}

func plugin(value func(*control.PluginStatus) float64) func(*control.Status, put) {
	return func(s *control.Status, put put) {
		for _, o := range outputsOf(s) {
			if o.Plugin != nil {
				put(value(o.Plugin), o.Name)
			}
		}
	}
}

func said(s *control.Status, put put) {
	for _, o := range outputsOf(s) {
		if o.Plugin != nil {
			put(float64(o.Plugin.StdoutLines), o.Name, "stdout")
			put(float64(o.Plugin.StderrLines), o.Name, "stderr")
		}
	}
}

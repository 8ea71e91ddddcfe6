// Package logkey names the attributes of log lines, so that one thing has one name in every part.
package logkey

const (
	Error    = "error"
	Part     = "part"
	Task     = "task"
	Workload = "workload"
	Address  = "address"
	Identity = "identity"
	Method   = "method"
	Reason   = "reason"
	Count    = "count"
	Bytes    = "bytes"
	File     = "file"
	Duration = "duration"
	Attempt  = "attempt"
	Version  = "version"
	PID      = "pid"
)

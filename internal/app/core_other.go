//go:build !linux

package app

// NoCore does nothing: the parts that hold other people's requests run on Linux.
func NoCore() {}

// Package fact holds what Merlon has seen: objects, where and how they were
// seen, what could not be seen, and the snapshot of all of it at one moment.
//
// A fact is data. Nothing here judges, reads a disk or asks a clock, and
// everything handed out is immutable and safe for concurrent use.
package fact

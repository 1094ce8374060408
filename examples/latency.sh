#!/bin/sh
# SPDX-License-Identifier: MIT
# latency.sh - how long transfers take while a command runs, by drive, measured by the kernel's own
# tracing: nothing else needs to be installed.
#
#	latency.sh COMMAND...		latency.sh sleep 10
#
# Prints a histogram of microseconds, in powers of two. Needs root, the module, and a kernel with
# CONFIG_HIST_TRIGGERS and CONFIG_SYNTH_EVENTS, which distributions enable. docs/observe.md
# describes the events.
set -eu

tracing=/sys/kernel/tracing
submit=$tracing/events/dmabuf_rw/drw_submit/trigger
complete=$tracing/events/dmabuf_rw/drw_complete/trigger
# A worker of io_uring continues an earlier submission.
begin='hist:keys=id:begun=common_timestamp.usecs if worker == 0'
end='hist:keys=id:us=common_timestamp.usecs-$begun:onmatch(dmabuf_rw.drw_submit).drw_latency($us,dev)'

if [ $# -eq 0 ]; then
	echo "usage: latency.sh COMMAND..." >&2
	exit 2
fi
[ -e $tracing/events ] || mount -t tracefs tracefs $tracing
if [ ! -e "$submit" ]; then
	echo "$submit is not there: load dmabuf_rw first, as root" >&2
	exit 1
fi

if [ ! -e $tracing/synthetic_events ]; then
	echo "this kernel has no CONFIG_SYNTH_EVENTS" >&2
	exit 1
fi

finish()
{
	# Each before those that it depends on; some may be missing.
	echo "!hist:keys=dev,us.log2" >$tracing/events/synthetic/drw_latency/trigger || :
	echo "!$end" >"$complete" || :
	echo "!$begin" >"$submit" || :
	echo '!drw_latency' >>$tracing/synthetic_events || :
} 2>/dev/null

trap finish EXIT
trap 'exit 130' INT TERM
echo 'drw_latency u64 us; u32 dev' >>$tracing/synthetic_events
echo "$begin" >"$submit"
echo "$end" >"$complete"
echo 'hist:keys=dev,us.log2' >$tracing/events/synthetic/drw_latency/trigger
status=0
"$@" || status=$?
# The upper twelve bits of a device number are its major number.
cat $tracing/events/synthetic/drw_latency/hist
exit $status

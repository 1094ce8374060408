#!/bin/sh
# SPDX-License-Identifier: MIT
# latency.sh - how long transfers take while a command runs, by drive, as the kernel's own tracing
# counts it: nothing else need be installed.
#
#	latency.sh COMMAND...		latency.sh sleep 10
#
# Prints a histogram of microseconds, in powers of two. Needs root, the module, and a kernel with
# CONFIG_HIST_TRIGGERS and CONFIG_SYNTH_EVENTS, as distributions have it. docs/observe.md describes
# the events.
set -eu

tracing=/sys/kernel/tracing
submit=$tracing/events/dmabuf_rw/drw_submit/trigger
complete=$tracing/events/dmabuf_rw/drw_complete/trigger
# What is io_uring's worker's has been submitted before.
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
	# In the order in which they need each other; what is not there need not go.
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

// SPDX-License-Identifier: GPL-2.0-only
/*
 * drw_idle.c - how long the CPUs have been idle, in nanoseconds; for benchmarks only.
 *
 * /sys/module/drw_idle/parameters/idle gives two numbers: the time since boot, and the
 * time that all CPUs together have been idle since the module was loaded.
 *
 * A CPU is idle from the cpu_idle tracepoint's "enter" until its "exit", or until the
 * first interrupt within that time, whichever is earlier; after an interrupt it is idle
 * again only from the next "enter" on. So interrupts that end an idle period, which is
 * where an idle machine handles the completions of its I/O, count as work. What is taken
 * for idle by mistake is the way from the interrupt's vector to the tracepoint.
 *
 * The kernel's own idle times are no use: 7.x takes them partly from the tick (see
 * bench/cpu.c).
 *
 * Each CPU changes only its own struct, with interrupts off. A reader asks every CPU by
 * interrupt, so that it sees no period half-way.
 */
#include <linux/interrupt.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>
#include <linux/tracepoint.h>
#include <trace/events/power.h>

struct idle_clock {
	u64 total;	/* of periods that have ended */
	u64 since;	/* beginning of the current period; 0: not idle */
};

static DEFINE_PER_CPU(struct idle_clock, idle_clock);

static void period_end(void)
{
	struct idle_clock *c = this_cpu_ptr(&idle_clock);

	if (c->since) {
		c->total += ktime_get_mono_fast_ns() - c->since;
		c->since = 0;
	}
}

static void on_cpu_idle(void *data, unsigned int state, unsigned int cpu)
{
	if (state == PWR_EVENT_EXIT)
		period_end();
	else
		this_cpu_ptr(&idle_clock)->since = ktime_get_mono_fast_ns();
}

static void on_irq(void *data, int irq, struct irqaction *action)
{
	period_end();
}

static void on_vector(void *data, int vector)
{
	period_end();
}

static struct {
	const char *name;
	void *probe;
	struct tracepoint *tp;
	bool on;
} points[] = {
	{ "cpu_idle", on_cpu_idle },
	{ "irq_handler_entry", on_irq },
	{ "local_timer_entry", on_vector },
	{ "reschedule_entry", on_vector },
	{ "call_function_entry", on_vector },
	{ "call_function_single_entry", on_vector },
	{ "irq_work_entry", on_vector },
};

static void find_point(struct tracepoint *tp, void *data)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (!strcmp(tp->name, points[i].name))
			points[i].tp = tp;
}

static void add_total(void *sum)
{
	atomic64_add(this_cpu_ptr(&idle_clock)->total, sum);
}

static int idle_get(char *text, const struct kernel_param *kp)
{
	atomic64_t sum = ATOMIC64_INIT(0);

	/* The asking interrupt ends the period of an idle CPU. */
	on_each_cpu(add_total, &sum, true);
	return sysfs_emit(text, "%llu %llu\n", ktime_get_mono_fast_ns(),
			  (u64)atomic64_read(&sum));
}

static const struct kernel_param_ops idle_ops = {
	.get = idle_get,
};
module_param_cb(idle, &idle_ops, NULL, 0444);
MODULE_PARM_DESC(idle, "nanoseconds since boot, and of idleness over all CPUs");

static void drw_idle_exit(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(points); i++)
		if (points[i].on)
			tracepoint_probe_unregister(points[i].tp, points[i].probe, NULL);
	tracepoint_synchronize_unregister();
}

static int __init drw_idle_init(void)
{
	unsigned int i;
	int ret;

	for_each_kernel_tracepoint(find_point, NULL);
	for (i = 0; i < ARRAY_SIZE(points); i++) {
		ret = -ENOENT;
		if (points[i].tp)
			ret = tracepoint_probe_register(points[i].tp, points[i].probe, NULL);
		if (ret) {
			pr_err("drw_idle: no tracepoint %s (%d)\n", points[i].name, ret);
			drw_idle_exit();
			return ret;
		}
		points[i].on = true;
	}
	return 0;
}

module_init(drw_idle_init);
module_exit(drw_idle_exit);

MODULE_DESCRIPTION("Clock of idle time for benchmarks");
MODULE_LICENSE("GPL");

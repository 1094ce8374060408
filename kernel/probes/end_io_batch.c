#include <linux/blk-mq.h>
enum rq_end_io_ret probe(struct request *rq, blk_status_t err, const struct io_comp_batch *iob);
rq_end_io_fn *probe_fn = probe;

#include <linux/io_uring/cmd.h>
#ifndef IORING_URING_CMD_REISSUE
struct io_uring_cmd_data probe;
#endif

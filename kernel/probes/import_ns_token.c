#include <linux/module.h>
MODULE_IMPORT_NS(DMA_BUF);

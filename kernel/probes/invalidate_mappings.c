#include <linux/dma-buf.h>
void (*probe(struct dma_buf_attach_ops *ops))(struct dma_buf_attachment *);
void (*probe(struct dma_buf_attach_ops *ops))(struct dma_buf_attachment *)
{
	return ops->invalidate_mappings;
}

#include <linux/fs.h>
int probe(struct inode *inode);
int probe(struct inode *inode)
{
	return inode_lock_killable(inode);
}
